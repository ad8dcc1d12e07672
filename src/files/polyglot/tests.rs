use super::*;

fn segment(code: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 2).unwrap().to_be_bytes();
    [&[0xff, code], &length[..], payload].concat()
}

/// A JPEG whose segments between JFIF and the tables are `extra`.
fn jpeg_with(extra: &[u8]) -> Vec<u8> {
    [
        b"\xff\xd8".as_slice(),
        &segment(0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"),
        extra,
        &segment(0xdb, &[1; 65]),
        &segment(0xc0, &[8, 0, 1, 0, 1, 1, 1, 0x11, 0]),
        &segment(0xc4, &[0; 20]),
        &segment(0xda, &[1, 1, 0, 0, 63, 0]),
        b"some<?php\xff\0data\xff\xff\xd9",
    ]
    .concat()
}

fn jpeg() -> Vec<u8> {
    jpeg_with(&[])
}

fn progressive() -> Vec<u8> {
    [
        b"\xff\xd8\xff".as_slice(),
        &segment(0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"),
        &segment(0xdd, &[0, 1]),
        &segment(0xc2, &[8, 0, 1, 0, 1, 1, 1, 0x11, 0]),
        &segment(0xda, &[1, 1, 0, 0, 0, 1]),
        b"a\xff\xd0b\xff\xff\xd1c\xff\0",
        &segment(0xc4, &[0; 20]),
        &segment(0xda, &[1, 1, 0, 1, 63, 0]),
        b"\xff\0\xff\xd7\xff\0\xff\xd9",
    ]
    .concat()
}

fn chunk(name: [u8; 4], payload: &[u8]) -> Vec<u8> {
    [&u32::try_from(payload.len()).unwrap().to_be_bytes(), &name, payload, b"\x01\x02\x03\x04"].concat()
}

fn png_with(extra: &[u8]) -> Vec<u8> {
    [
        b"\x89PNG\r\n\x1a\n".as_slice(),
        &chunk(*b"IHDR", &[0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0]),
        extra,
        &chunk(*b"IDAT", b"compressed <script"),
        &chunk(*b"IEND", b""),
    ]
    .concat()
}

fn gif_with(extra: &[u8]) -> Vec<u8> {
    let screen = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff".as_slice();
    [screen, extra, b"\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x4c\x01\0\x3b"].concat()
}

fn animated() -> Vec<u8> {
    let image = b"\x2c\0\0\0\0\x01\0\x01\0\x80abcdef\x02\x09<script>!\x05<?php\0";
    let control = b"\x21\xf9\x04\0\x0a\0\0\0";
    gif_with(&[b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0".as_slice(), control, image, control, image, b"\x21\xfe\x02hi\0"].concat())
}

fn riff_chunk(name: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let padding = if payload.len().is_multiple_of(2) { b"".as_slice() } else { b"\0" };
    [&name, &u32::try_from(payload.len()).unwrap().to_le_bytes(), payload, padding].concat()
}

fn webp(chunks: &[Vec<u8>]) -> Vec<u8> {
    let body = [b"WEBP".as_slice(), &chunks.concat()].concat();
    riff_chunk(*b"RIFF", &body)
}

fn extended() -> Vec<u8> {
    webp(&[
        riff_chunk(*b"VP8X", &[8, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        riff_chunk(*b"ALPH", b"<?php"),
        riff_chunk(*b"VP8 ", b"pixels <script"),
        riff_chunk(*b"EXIF", b"II*\0\x08\0\0"),
    ])
}

/// The bytes of an archive without entries.
fn archive(comment: &[u8]) -> Vec<u8> {
    let length = u16::try_from(comment.len()).unwrap().to_le_bytes();
    [b"PK\x03\x04file".as_slice(), b"PK\x05\x06", &[0; 16], &length, comment].concat()
}

fn film() -> Vec<u8> {
    [
        b"\0\0\0\x18ftypmp42\0\0\0\0isommp42".as_slice(),
        b"\0\0\0\x0emoovheader"[..14].as_ref(),
        b"\0\0\0\x01free\0\0\0\0\0\0\0\x13abc",
        b"\0\0\0\x10mdat<?php xy",
    ]
    .concat()
}

fn good() -> Vec<(&'static str, ImageType, Vec<u8>)> {
    let vp8 = webp(&[riff_chunk(*b"VP8 ", b"pixels!")]);
    vec![
        ("jpeg", ImageType::Jpeg, jpeg()),
        ("progressive", ImageType::Jpeg, progressive()),
        ("padded jpeg", ImageType::Jpeg, [jpeg(), b"\0\0\xff\n\r ".to_vec()].concat()),
        ("multi image", ImageType::Jpeg, [jpeg(), vec![0; 9], progressive(), vec![0xff; 3], jpeg(), vec![0; 5]].concat()),
        ("png", ImageType::Png, png_with(&chunk(*b"tEXt", b"Comment\0nothing < here"))),
        ("padded png", ImageType::Png, [png_with(b""), b"\n\0".to_vec()].concat()),
        ("gif", ImageType::Gif, gif_with(b"")),
        ("animated gif", ImageType::Gif, animated()),
        ("gif87a", ImageType::Gif, b"GIF87a\x01\0\x01\0\0\0\0\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x4c\x01\0\x3b".to_vec()),
        ("vp8", ImageType::WebP, vp8),
        ("vp8x", ImageType::WebP, extended()),
    ]
}

/// Their tails are only known when they are whole.
fn phones() -> Vec<(&'static str, ImageType, Vec<u8>)> {
    let samsung = b"\0\0\x30\x0a\x10\0\0\0MotionPhoto_Data\0\0\0\x18ftypmp42 SEFH\x6b\0\0\0\x01\0\0\0SEFT".to_vec();
    let endless = b"\0\0\0\x20ftypisom\0\0\0\0isomiso2avc1mp41\0\0\0\0mdat whatever".to_vec();
    vec![
        ("motion photo", ImageType::Jpeg, [jpeg(), film()].concat()),
        ("padded motion photo", ImageType::Jpeg, [jpeg(), vec![0; 3], jpeg(), b"\xff\0\n".to_vec(), film()].concat()),
        ("motion photo to the end", ImageType::Jpeg, [jpeg(), endless].concat()),
        ("samsung", ImageType::Jpeg, [jpeg(), samsung.clone()].concat()),
        ("samsung behind a film", ImageType::Jpeg, [jpeg(), film(), samsung].concat()),
        ("short samsung", ImageType::Jpeg, [jpeg(), b"SEFT".to_vec()].concat()),
    ]
}

fn walk(kind: ImageType, bytes: &[u8], size: usize) -> Result<(), PolyglotError> {
    let mut walk = ContainerScanner::new(kind);
    bytes.chunks(size).try_for_each(|chunk| walk.take(chunk))?;
    walk.finish()
}

fn refused(kind: ImageType, bytes: &[u8], why: PolyglotError) {
    for size in [bytes.len(), 1, 3, 7, 64] {
        assert_eq!(walk(kind, bytes, size), Err(why), "in chunks of {size}");
    }
}

#[test]
fn an_image_alone_passes() {
    for (name, kind, bytes) in good().into_iter().chain(phones()) {
        for size in [bytes.len(), 1, 2, 3, 7, 20, 21, 22] {
            assert_eq!(walk(kind, &bytes, size), Ok(()), "{name} in chunks of {size}");
        }
    }
}

#[test]
fn an_image_that_ends_early_passes() {
    for (name, kind, bytes) in good() {
        for end in 0..bytes.len() {
            for size in [bytes.len(), 1, 7] {
                assert_eq!(walk(kind, &bytes[..end], size), Ok(()), "{name} up to {end}");
            }
        }
    }
}

#[test]
fn nothing_makes_it_panic() {
    for (_, kind, bytes) in good().into_iter().chain(phones()) {
        for index in 0..bytes.len() {
            for value in [0, 0x3b, 0xff] {
                let mut changed = bytes.clone();
                changed[index] = value;
                let whole = walk(kind, &changed, changed.len());
                assert_eq!(walk(kind, &changed, 1), whole, "chunks make no difference");
            }
        }
    }
}

#[test]
fn an_archive_is_refused() {
    use ImageType::{Gif, Jpeg, Png, WebP};
    for (kind, image) in [(Jpeg, jpeg()), (Png, png_with(b"")), (Gif, gif_with(b"")), (WebP, extended())] {
        for comment in [b"".as_slice(), b"some words", &vec![b'x'; 0xffff]] {
            refused(kind, &[image.clone(), archive(comment)].concat(), PolyglotError::Archive);
        }
    }
    refused(Jpeg, &[jpeg(), archive(b"\0\0SEFT")].concat(), PolyglotError::Archive);
    refused(Jpeg, &[jpeg(), film(), archive(b"")].concat(), PolyglotError::Archive);
}

#[test]
fn an_archive_whose_comment_is_the_rest_of_the_image_is_refused() {
    let record = |length: usize| {
        let mut bytes = archive(b"");
        bytes.truncate(bytes.len() - 2);
        [bytes, u16::try_from(length).unwrap().to_le_bytes().to_vec()].concat()
    };
    let behind = jpeg().len() - 2 - segment(0xe0, &[0; 14]).len();
    refused(ImageType::Jpeg, &jpeg_with(&segment(0xfe, &record(behind))), PolyglotError::Archive);
    // Lenient readers open those too.
    for other in [0, behind - 1, behind + 1] {
        refused(ImageType::Jpeg, &jpeg_with(&segment(0xfe, &record(other))), PolyglotError::Archive);
    }
}

#[test]
fn many_records_do_not_hide_one() {
    let decoys: Vec<u8> = (0..200).flat_map(|_| [b"PK\x05\x06".as_slice(), &[0; 16], b"\xff\x7f"].concat()).collect();
    refused(ImageType::Jpeg, &jpeg_with(&segment(0xfe, &decoys)), PolyglotError::Archive);
}

#[test]
fn a_pdf_is_refused() {
    let comment = |before: usize| segment(0xfe, &[vec![b' '; before], b"%PDF-1.7".to_vec()].concat());
    refused(ImageType::Jpeg, &jpeg_with(&comment(100)), PolyglotError::Pdf);
    // Before the comment's text are 24 bytes of the image.
    refused(ImageType::Jpeg, &jpeg_with(&comment(1023 - 24)), PolyglotError::Pdf);
    assert_eq!(walk(ImageType::Jpeg, &jpeg_with(&comment(1024 - 24)), 7), Ok(()));
}

#[test]
fn a_script_is_refused() {
    use ImageType::{Gif, Jpeg, Png, WebP};
    let (php, script) = (PolyglotError::Script("<?php"), PolyglotError::Script("<script"));
    refused(Png, &png_with(&chunk(*b"tEXt", b"Comment\0<?php system($_GET[0]);")), php);
    refused(Png, &png_with(&chunk(*b"PLTE", b"<?pHp ")), php);
    refused(Jpeg, &jpeg_with(&segment(0xfe, b"<SCRIPT>alert(1)</SCRIPT>")), script);
    refused(Gif, &gif_with(b"\x21\xfe\x08<?php 1;\0"), php);
    refused(Gif, &gif_with(b"\x21\xff\x0b<script>abc\x01a\0"), script);
    refused(WebP, &webp(&[riff_chunk(*b"VP8 ", b"pixels"), riff_chunk(*b"XMP ", b"<sCript>")]), script);
    refused(Jpeg, &[jpeg(), b"<html><script>alert(1)</script></html>".to_vec()].concat(), script);
    refused(Jpeg, &[jpeg(), b"\0\0\0\x18ftypmp42\0\0\0\0isommp42\0\0\0\x10free <?php  SEFT".to_vec()].concat(), php);
}

#[test]
fn a_length_that_spells_a_script_is_refused() {
    let mut payload = b"php system('id');".to_vec();
    payload.resize(0x3c3f - 2, b' ');
    refused(ImageType::Jpeg, &jpeg_with(&segment(0xfe, &payload)), PolyglotError::Script("<?php"));
    let mut block = b"\x21\xfe\x3cscript>".to_vec();
    block.resize(2 + 1 + 0x3c, b' ');
    block.push(0);
    refused(ImageType::Gif, &gif_with(&block), PolyglotError::Script("<script"));
}

#[test]
fn what_follows_the_end_is_refused_with_its_size() {
    use ImageType::{Gif, Jpeg, Png, WebP};
    refused(Jpeg, &[jpeg(), b"<html><body>hello</body></html>".to_vec()].concat(), PolyglotError::TrailingData(31));
    refused(Jpeg, &[jpeg(), b"\0\0\nx".to_vec()].concat(), PolyglotError::TrailingData(1));
    refused(Jpeg, &[jpeg(), b"ftypmp42 without a size".to_vec()].concat(), PolyglotError::TrailingData(23));
    refused(Jpeg, &[jpeg(), b"\0\0\0\0ftypto the end".to_vec()].concat(), PolyglotError::TrailingData(14));
    let film = film().len() as u64;
    refused(Jpeg, &[jpeg(), self::film(), b"\0\0\0\x20no\x01p".to_vec()].concat(), PolyglotError::TrailingData(film + 8 - 3));
    refused(Jpeg, &[jpeg(), b"\0\0\0\x07moov".to_vec()].concat(), PolyglotError::TrailingData(5));
    refused(Png, &[png_with(b""), extended()[..20].to_vec()].concat(), PolyglotError::TrailingData(20));
    refused(Png, &[png_with(b""), b"\xff".to_vec()].concat(), PolyglotError::TrailingData(1));
    refused(Gif, &[gif_with(b""), b"*/=1;alert(1)//".to_vec()].concat(), PolyglotError::TrailingData(15));
    refused(Gif, &[gif_with(b""), b"SEFT".to_vec()].concat(), PolyglotError::TrailingData(4));
    refused(WebP, &[extended(), b"\n\n#!/bin/sh".to_vec()].concat(), PolyglotError::TrailingData(9));
}

#[test]
fn broken_blocks_are_refused() {
    use ImageType::{Gif, Jpeg, Png, WebP};
    refused(Gif, b"GIF89a/*.\0\0\0\0*/=1;alert(1)", PolyglotError::Broken(13));
    refused(Gif, b"GIF89a/*...*/=1;alert(1)//", PolyglotError::Broken(13));
    refused(Jpeg, b"\xff\xd8\xff\xe0\0\x01", PolyglotError::Broken(4));
    refused(Jpeg, b"\xff\xd8\xff\xe0\0\x04abxx", PolyglotError::Broken(8));
    refused(Jpeg, b"\xff\xd8\xff\xd8", PolyglotError::Broken(3));
    refused(Jpeg, b"PK\x03\x04", PolyglotError::Broken(0));
    refused(Png, b"\x89PNG\r\n\x1a\n\0\0\0\0IH R", PolyglotError::Broken(8));
    refused(Png, b"\x89PNG\r\n\x1a\n\x80\0\0\0IHDR", PolyglotError::Broken(8));
    refused(WebP, b"RIFF\x10\0\0\0WEBPVP8 \xff\0\0\0", PolyglotError::Broken(12));
    refused(WebP, b"RIFF\x10\0\0\0WAVEfmt ", PolyglotError::Broken(0));
}

#[test]
fn a_refusal_reads_as_a_sentence() {
    for (why, says) in [
        (PolyglotError::TrailingData(1), "1 byte of something else follows the image's end"),
        (PolyglotError::TrailingData(1023), "1023 bytes of something else follows the image's end"),
        (PolyglotError::TrailingData(1024), "1 KiB of something else follows the image's end"),
        (PolyglotError::TrailingData(5 << 20), "5 MiB of something else follows the image's end"),
        (PolyglotError::Archive, "it is an archive (ZIP) too"),
        (PolyglotError::Pdf, "it is a PDF too"),
        (PolyglotError::Script("<?php"), "it holds a script (<?php) outside its pixels"),
        (PolyglotError::Broken(13), "its blocks are broken at byte 13"),
    ] {
        assert_eq!(why.to_string(), says);
    }
}

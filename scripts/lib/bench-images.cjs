// Legwork's child and sharp, in turns, on one core. Called by scripts/bench-images:
//   node bench-images.cjs LEGWORK FOLDER IMAGES FEATURES [PHOTO]
// Calls itself with --sharp for the other side.
'use strict';
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const sharp = require('sharp');

const BOX = { width: 1200, height: 800, quality: 85, thumbnails: [300, 150] };
const CORE = '0';

function noise(x, y, seed) {
  const at = (ix, iy) => {
    let n = (Math.imul(ix, 374761393) + Math.imul(iy, 668265263) + Math.imul(seed, 2246822519)) | 0;
    n = Math.imul(n ^ (n >>> 13), 1274126177);
    return ((n ^ (n >>> 16)) & 0xffff) / 65535;
  };
  const ix = Math.floor(x), iy = Math.floor(y);
  const fx = x - ix, fy = y - iy;
  const sx = fx * fx * (3 - 2 * fx), sy = fy * fy * (3 - 2 * fy);
  const upper = at(ix, iy) * (1 - sx) + at(ix + 1, iy) * sx;
  const lower = at(ix, iy + 1) * (1 - sx) + at(ix + 1, iy + 1) * sx;
  return upper * (1 - sy) + lower * sy;
}

// Clouds of every size down to a grain of two pixels, in three colours, with edges: about as hard to encode as a photograph.
async function makePhoto(file) {
  const [width, height] = [4000, 3000];
  const pixels = Buffer.alloc(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const isEdge = Math.floor((x * 0.8 + y * 0.6) / 340) % 3 === 0 && noise(x / 900, y / 900, 77) > 0.45;
      let grain = 0, strength = 0.13, frequency = 1 / 24;
      for (let octave = 5; octave < 9; octave++) {
        grain += strength * (noise(x * frequency, y * frequency, octave) - 0.5);
        strength *= 0.8;
        frequency *= 2.3;
      }
      for (let c = 0; c < 3; c++) {
        let value = 0.1 + grain, strength = 0.45, frequency = 1 / 700;
        for (let octave = 0; octave < 4; octave++) {
          value += strength * noise(x * frequency, y * frequency, c * 100 + octave);
          strength *= 0.55;
          frequency *= 2.1;
        }
        pixels[(y * width + x) * 3 + c] = Math.max(0, Math.min(255, value * (isEdge ? 0.75 : 1) * 245));
      }
    }
  }
  await sharp(pixels, { raw: { width, height, channels: 3 } }).jpeg({ quality: 92 }).toFile(file);
}

async function bySharp({ source, output, progressive }) {
  const fit = { fit: 'inside', withoutEnlargement: true };
  const { data, info } = await sharp(source).rotate().resize(BOX.width, BOX.height, fit).raw().toBuffer({ resolveWithObject: true });
  const raw = { width: info.width, height: info.height, channels: info.channels };
  await sharp(data, { raw }).jpeg({ quality: BOX.quality, progressive }).toFile(output);
  for (const size of BOX.thumbnails) await sharp(data, { raw }).resize(size, size).jpeg({ quality: BOX.quality }).toFile(`${output}.${size}`);
}

// What sharp's users write: the file itself to JPEG, the thumbnails from that.
async function bySharpPlainly({ source, output, progressive }) {
  const fit = { fit: 'inside', withoutEnlargement: true };
  const made = await sharp(source).rotate().resize(BOX.width, BOX.height, fit).jpeg({ quality: BOX.quality, progressive }).toBuffer();
  fs.writeFileSync(output, made);
  for (const size of BOX.thumbnails) await sharp(made).resize(size, size).jpeg({ quality: BOX.quality }).toFile(`${output}.${size}`);
}

async function sharpSide() {
  sharp.concurrency(1);
  sharp.cache(false);
  for await (const line of require('node:readline').createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    await (request.plain ? bySharpPlainly : bySharp)(request);
    process.stdout.write('done\n');
  }
}

class Side {
  constructor(command, environment) {
    this.process = spawn('taskset', ['-c', CORE, ...command], { env: environment, stdio: ['pipe', 'pipe', 'inherit'] });
    this.times = [];
  }
  async measure(bytes) {
    const started = process.hrtime.bigint();
    const answered = new Promise((resolve, reject) => {
      this.process.stdout.once('data', resolve);
      this.process.once('exit', (code) => reject(new Error(`a side ended with ${code}`)));
    });
    this.process.stdin.write(bytes);
    const answer = await answered;
    this.times.push(Number(process.hrtime.bigint() - started) / 1e6);
    this.process.removeAllListeners('exit');
    return answer;
  }
  median() {
    const sorted = [...this.times].sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)];
  }
  // Milliseconds on the processor so far, over all threads: what others do on the machine does not count.
  cpu() {
    const fields = fs.readFileSync(`/proc/${this.process.pid}/stat`, 'utf8').replace(/.*\) /, '').split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10;
  }
  peak() {
    return Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${this.process.pid}/status`, 'utf8'))[1]) / 1024;
  }
}

function request(source, output, progressive) {
  const thumbnails = BOX.thumbnails.map((size) => ({ size, fit: 'crop', output: `${output}.${size}` }));
  const limits = { max_bytes: 50 << 20, max_pixels: 100_000_000, max_memory: 300 << 20 };
  const args = {
    source, output, thumbnails, limits, progressive, max_width: BOX.width, max_height: BOX.height, quality: BOX.quality,
    format: 'keep', animated: 'first_frame',
  };
  const body = Buffer.from(JSON.stringify({ work: 'image', cpu_seconds: 60, args }));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(body.length);
  return Buffer.concat([length, body]);
}

async function luma(input, options) {
  const { data, info } = await sharp(input, options).greyscale().raw().toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height };
}

// The mean over windows of 8 × 8, each 4 from the next.
function ssim(a, b) {
  if (a.width !== b.width || a.height !== b.height) return NaN;
  let sum = 0, count = 0;
  for (let y = 0; y + 8 <= a.height; y += 4) {
    for (let x = 0; x + 8 <= a.width; x += 4) {
      let sa = 0, sb = 0, saa = 0, sbb = 0, sab = 0;
      for (let j = 0; j < 8; j++) {
        for (let i = 0; i < 8; i++) {
          const at = (y + j) * a.width + x + i, p = a.data[at], q = b.data[at];
          sa += p; sb += q; saa += p * p; sbb += q * q; sab += p * q;
        }
      }
      const ma = sa / 64, mb = sb / 64;
      const va = saa / 64 - ma * ma, vb = sbb / 64 - mb * mb, cov = sab / 64 - ma * mb;
      sum += ((2 * ma * mb + 6.5025) * (2 * cov + 58.5225)) / ((ma * ma + mb * mb + 6.5025) * (va + vb + 58.5225));
      count++;
    }
  }
  return sum / count;
}

async function main([legwork, folder, images, features, given]) {
  const photo = given || path.join(folder, 'photo.jpg');
  if (!fs.existsSync(photo)) await makePhoto(photo);
  // Every pixel decoded, one careful filter, no loss.
  const reference = path.join(folder, 'reference.png');
  await sharp(photo).rotate().resize(BOX.width, BOX.height, { fit: 'inside', withoutEnlargement: true, fastShrinkOnLoad: false, kernel: 'lanczos3' })
    .png().toFile(reference);
  const careful = await luma(reference);
  console.log(`${path.basename(photo)}: ${fs.statSync(photo).size} bytes; legwork built with: ${features}; sharp ${sharp.versions.sharp}`);
  const rows = [];
  for (const progressive of [false, true]) {
    const [ours, theirs, plain] = ['legwork', 'sharp', 'sharp-plain'].map((name) => path.join(folder, `${name}.jpg`));
    const sides = {
      legwork: { side: new Side([legwork, 'child', String(300 << 20)], { MIMALLOC_ARENA_EAGER_COMMIT: '0', MIMALLOC_PURGE_DELAY: '-1' }), file: ours, bytes: request(photo, ours, progressive) },
      sharp: { side: new Side([process.execPath, __filename, '--sharp'], process.env), file: theirs, bytes: JSON.stringify({ source: photo, output: theirs, progressive }) + '\n' },
      'sharp, from JPEG to JPEG': { side: new Side([process.execPath, __filename, '--sharp'], process.env), file: plain, bytes: JSON.stringify({ source: photo, output: plain, progressive, plain: true }) + '\n' },
    };
    for (let round = 0; round < Number(images) + 2; round++) {
      for (const { side, bytes } of Object.values(sides)) {
        await side.measure(bytes);
        if (round < 2) [side.times, side.cpuBefore] = [[], side.cpu()];
      }
    }
    for (const [name, { side, file }] of Object.entries(sides)) {
      rows.push({
        side: name, progressive, 'images/s': Number((1000 / side.median()).toFixed(1)), 'ms (median)': Number(side.median().toFixed(1)),
        'CPU ms': Number(((side.cpu() - side.cpuBefore) / side.times.length).toFixed(1)),
        'peak MB': Number(side.peak().toFixed(0)), SSIM: Number(ssim(careful, await luma(file)).toFixed(4)), bytes: fs.statSync(file).size,
      });
      side.process.kill();
    }
  }
  console.table(rows);
  fs.writeFileSync(path.join(folder, `latest-${features}.json`), JSON.stringify(rows, null, 2));
}

if (process.argv[2] === '--sharp') sharpSide();
else main(process.argv.slice(2)).then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });

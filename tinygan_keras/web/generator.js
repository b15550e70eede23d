"use strict";
// The student's forward pass and the rule of its latents, in plain JavaScript. The page includes this file as
// a script, and starts a worker from its text. Feature maps are flat, [pixel][channel], as in Keras.
// Numbers in local variables stay float64: rounding each one to float32 (Math.fround) halves the speed.

const ROTATIONS = [[13, 15, 26, 6], [17, 29, 16, 24]];
const ERF_OF_CUT = Math.fround(0.9544997361036416); // erf(sqrt(2)): latents are cut at two deviations
const ERFINV = [
  2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
  -0.00125372503, -0.00417768164, 0.246640727, 1.50140941,
].map(Math.fround);
const MAX_SEED = 2n ** 63n - 1n;

// The latents of a seed (BigInt from 0 to MAX_SEED) at truncation 1; latents.py explains the rule.
function latentsOfSeed(seed, length) {
  const high = Number(seed >> 32n) | 0;
  const low = Number(seed & 0xffffffffn) | 0;
  const latents = new Float32Array(length);
  for (let i = 0; i < length; i++) latents[i] = normal(threefry(high, low, i));
  return latents;
}

// The first word of Threefry-2x32 with 20 rounds, for the counter (i, 0).
function threefry(high, low, i) {
  const keys = [high, low, high ^ low ^ 0x1bd11bda];
  let a = (i + keys[0]) | 0;
  let b = keys[1];
  for (let group = 0; group < 5; group++) {
    for (const rotation of ROTATIONS[group % 2]) {
      a = (a + b) | 0;
      b = ((b << rotation) | (b >>> (32 - rotation))) ^ a;
    }
    a = (a + keys[(group + 1) % 3]) | 0;
    b = (b + keys[(group + 2) % 3] + group + 1) | 0;
  }
  return a;
}

// A standard normal number, cut at two deviations, from 23 bits of a word; every step in float32.
function normal(word) {
  const f = Math.fround;
  const uniform = ((word >>> 9) * 2 + 1) / 2 ** 24;
  const x = f(f(2 * uniform - 1) * ERF_OF_CUT);
  const w = f(f(-Math.log(f(f(1 - x) * f(1 + x)))) - 2.5);
  const polynomial = ERFINV.reduce((sum, coefficient) => f(f(sum * w) + coefficient));
  return f(f(f(Math.SQRT2) * polynomial) * x);
}

class Student {
  // `network` describes the layers, `kernels` and `vectors` are base64 of their float16 and float32 values,
  // in the order in which they are taken here; student_page.py writes them.
  constructor(network, kernels, vectors) {
    this.network = network;
    const take = { kernels: reader(float16Values(kernels)), vectors: reader(float32Values(vectors)) };
    const layer = (rows, columns) => ({
      rows, columns, kernel: take.kernels(rows * columns), bias: take.vectors(columns),
    });
    const channels = network.channels;
    const stages = channels.length;
    this.side = 4 * 2 ** (stages - 1);
    this.embedding = take.kernels(network.classes * network.embedding);
    this.pieces = latentPieces(network.latents, network.latent, stages);
    this.projection = layer(this.pieces[0][1] - this.pieces[0][0], 16 * channels[0]);
    this.blocks = [];
    for (let i = 1; i < stages; i++) {
      const [inputs, filters] = [channels[i - 1], channels[i]];
      const depth = network.pointwise_first ? filters : inputs;
      const condition = network.embedding + this.pieces[i][1] - this.pieces[i][0];
      this.blocks.push({
        norm0: layer(condition, 2 * inputs),
        depthwise0: layer(9, depth),
        pointwise0: layer(inputs, filters),
        norm1: layer(condition, 2 * filters),
        depthwise1: layer(9, filters),
        pointwise1: layer(filters, filters),
        shortcut: layer(inputs, filters),
      });
    }
    const last = channels[stages - 1];
    this.final = { scale: take.vectors(last), shift: take.vectors(last) };
    this.rgb = { taps: tapsOf(take.kernels(27 * last), last), bias: take.vectors(3) };
  }

  // An image, RGBA bytes, of latents and of pairs [class, weight].
  generate(latent, weights) {
    const { network, blocks, pieces, projection } = this;
    const embedding = new Float32Array(network.embedding);
    for (const [label, weight] of weights) {
      for (let i = 0; i < embedding.length; i++) {
        embedding[i] += weight * this.embedding[label * embedding.length + i];
      }
    }
    let features = new Float32Array(projection.columns);
    matrixProduct(latent.subarray(...pieces[0]), projection, features, 1);
    let side = 4;
    blocks.forEach((block, i) => {
      const condition = new Float32Array(block.norm0.rows);
      condition.set(embedding);
      condition.set(latent.subarray(...pieces[i + 1]), embedding.length);
      features = residualBlock(block, features, condition, side, network.pointwise_first);
      side *= 2;
    });
    scaleAndRectify(features, this.final.scale, this.final.shift);
    return imageOf(features, this.rgb, side);
  }
}

// What of the latents the 4x4 map gets, and what each block: pairs [start, end].
function latentPieces(latents, length, stages) {
  const piece = (i) => [Math.floor((length * i) / stages), Math.floor((length * (i + 1)) / stages)];
  const all = Array.from({ length: stages }, (_, i) => piece(i));
  if (latents === "pieces") return all;
  const others = latents === "dense" ? [0, 0] : [0, length];
  return all.map((first, i) => (i > 0 ? others : latents === "dense" ? [0, length] : first));
}

function residualBlock(block, features, condition, side, pointwiseFirst) {
  const { norm0, depthwise0, pointwise0, norm1, depthwise1, pointwise1, shortcut } = block;
  const pixels = side * side;
  const filters = shortcut.columns;
  const map = (count, channels) => new Float32Array(count * channels);

  const skipped = map(pixels, filters);
  matrixProduct(features, shortcut, skipped, pixels);
  conditionalNorm(features, norm0, condition);
  let wide, residual;
  if (pointwiseFirst) {
    const narrow = map(pixels, filters);
    matrixProduct(features, pointwise0, narrow, pixels);
    wide = map(4 * pixels, filters);
    addUpsampled(narrow, wide, side, filters);
    residual = map(4 * pixels, filters);
    depthwiseConvolution(wide, depthwise0, residual, 2 * side);
  } else {
    const channels = depthwise0.columns;
    const upsampled = map(4 * pixels, channels);
    addUpsampled(features, upsampled, side, channels);
    const mixed = map(4 * pixels, channels);
    depthwiseConvolution(upsampled, depthwise0, mixed, 2 * side);
    residual = map(4 * pixels, filters);
    matrixProduct(mixed, pointwise0, residual, 4 * pixels);
    wide = map(4 * pixels, filters);
  }
  conditionalNorm(residual, norm1, condition);
  depthwiseConvolution(residual, depthwise1, wide, 2 * side);
  matrixProduct(wide, pointwise1, residual, 4 * pixels);
  addUpsampled(skipped, residual, side, filters);
  return residual;
}

function conditionalNorm(features, layer, condition) {
  const affine = new Float32Array(layer.columns);
  matrixProduct(condition, layer, affine, 1);
  const channels = layer.columns / 2;
  scaleAndRectify(features, affine.subarray(0, channels), affine.subarray(channels));
}

// max(0, scale * x + shift), in place; by the absolute value, as a branch is guessed wrong half of the time.
function scaleAndRectify(features, scale, shift) {
  const channels = scale.length;
  for (let start = 0; start < features.length; start += channels) {
    for (let c = 0; c < channels; c++) {
      const value = scale[c] * features[start + c] + shift[c];
      features[start + c] = 0.5 * (value + Math.abs(value));
    }
  }
}

// outputs [pixels, columns] = inputs [pixels, rows] * kernel + bias, in blocks of two pixels and four columns
// whose sums stay in registers.
function matrixProduct(inputs, { rows, columns, kernel, bias }, outputs, pixels) {
  const whole = columns - (columns % 4);
  const paired = pixels - (pixels % 2);
  for (let p = 0; p < paired; p += 2) {
    const [in0, in1, out0, out1] = [p * rows, (p + 1) * rows, p * columns, (p + 1) * columns];
    for (let c = 0; c < whole; c += 4) {
      let s0 = bias[c], s1 = bias[c + 1], s2 = bias[c + 2], s3 = bias[c + 3];
      let t0 = s0, t1 = s1, t2 = s2, t3 = s3;
      for (let r = 0, k = c; r < rows; r++, k += columns) {
        const x = inputs[in0 + r], y = inputs[in1 + r];
        const k0 = kernel[k], k1 = kernel[k + 1], k2 = kernel[k + 2], k3 = kernel[k + 3];
        s0 += x * k0; s1 += x * k1; s2 += x * k2; s3 += x * k3;
        t0 += y * k0; t1 += y * k1; t2 += y * k2; t3 += y * k3;
      }
      outputs[out0 + c] = s0; outputs[out0 + c + 1] = s1;
      outputs[out0 + c + 2] = s2; outputs[out0 + c + 3] = s3;
      outputs[out1 + c] = t0; outputs[out1 + c + 1] = t1;
      outputs[out1 + c + 2] = t2; outputs[out1 + c + 3] = t3;
    }
  }
  const rest = (first, p) => {
    for (let c = first; c < columns; c++) {
      let sum = bias[c];
      for (let r = 0; r < rows; r++) sum += inputs[p * rows + r] * kernel[r * columns + c];
      outputs[p * columns + c] = sum;
    }
  };
  if (whole < columns) for (let p = 0; p < paired; p++) rest(whole, p);
  if (paired < pixels) rest(0, paired);
}

// 3x3, zeros beyond the border; kernel [9, channels].
function depthwiseConvolution(inputs, { columns: channels, kernel, bias }, outputs, side) {
  const row = side * channels;
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const out = (y * side + x) * channels;
      if (x > 0 && x < side - 1 && y > 0 && y < side - 1) {
        const up = out - row - channels, here = out - channels, down = out + row - channels;
        for (let c = 0; c < channels; c++) {
          outputs[out + c] = bias[c] +
            inputs[up + c] * kernel[c] +
            inputs[up + channels + c] * kernel[channels + c] +
            inputs[up + 2 * channels + c] * kernel[2 * channels + c] +
            inputs[here + c] * kernel[3 * channels + c] +
            inputs[here + channels + c] * kernel[4 * channels + c] +
            inputs[here + 2 * channels + c] * kernel[5 * channels + c] +
            inputs[down + c] * kernel[6 * channels + c] +
            inputs[down + channels + c] * kernel[7 * channels + c] +
            inputs[down + 2 * channels + c] * kernel[8 * channels + c];
        }
        continue;
      }
      for (let c = 0; c < channels; c++) outputs[out + c] = bias[c];
      for (let dy = y > 0 ? -1 : 0; dy <= (y < side - 1 ? 1 : 0); dy++) {
        for (let dx = x > 0 ? -1 : 0; dx <= (x < side - 1 ? 1 : 0); dx++) {
          const start = out + dy * row + dx * channels;
          const tap = (3 * (dy + 1) + dx + 1) * channels;
          for (let c = 0; c < channels; c++) outputs[out + c] += inputs[start + c] * kernel[tap + c];
        }
      }
    }
  }
}

// outputs += inputs with doubled sides, bilinear, centres of pixels aligned: 3/4 of the nearest row and column,
// 1/4 of the next one.
function addUpsampled(inputs, outputs, side, channels) {
  const nearest = (i) => i >> 1;
  const next = (i) => Math.min(side - 1, Math.max(0, (i >> 1) + (i % 2 ? 1 : -1)));
  for (let y = 0; y < 2 * side; y++) {
    const near = nearest(y) * side, far = next(y) * side;
    for (let x = 0; x < 2 * side; x++) {
      const out = (y * 2 * side + x) * channels;
      const a = (near + nearest(x)) * channels, b = (near + next(x)) * channels;
      const c = (far + nearest(x)) * channels, d = (far + next(x)) * channels;
      for (let i = 0; i < channels; i++) {
        outputs[out + i] += 0.5625 * inputs[a + i] + 0.1875 * (inputs[b + i] + inputs[c + i]) +
          0.0625 * inputs[d + i];
      }
    }
  }
}

// The last 3x3 convolution as a product with all its taps, and their sums; tanh, and bytes.
function imageOf(features, { taps, bias }, side) {
  const products = new Float32Array(side * side * taps.columns);
  matrixProduct(features, taps, products, side * side);
  const image = new Uint8ClampedArray(4 * side * side).fill(255); // rounds and clips
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      for (let colour = 0; colour < 3; colour++) {
        let sum = bias[colour];
        for (let dy = y > 0 ? -1 : 0; dy <= (y < side - 1 ? 1 : 0); dy++) {
          for (let dx = x > 0 ? -1 : 0; dx <= (x < side - 1 ? 1 : 0); dx++) {
            const tap = 3 * (dy + 1) + dx + 1;
            sum += products[((y + dy) * side + x + dx) * taps.columns + 3 * tap + colour];
          }
        }
        image[4 * (y * side + x) + colour] = 127.5 * (Math.tanh(sum) + 1);
      }
    }
  }
  return image;
}

// A kernel [9, channels, 3] as a layer [channels, 28]: the taps side by side, and a column of zeros, which
// makes whole blocks of four.
function tapsOf(kernel, channels) {
  const taps = { rows: channels, columns: 28, kernel: new Float32Array(28 * channels), bias: new Float32Array(28) };
  for (let tap = 0; tap < 9; tap++) {
    for (let c = 0; c < channels; c++) {
      taps.kernel.set(kernel.subarray(3 * (tap * channels + c), 3 * (tap * channels + c + 1)), 28 * c + 3 * tap);
    }
  }
  return taps;
}

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes.buffer;
}

function float32Values(base64) {
  return new Float32Array(bytesOf(base64)); // little-endian, as every processor with a browser is
}

function float16Values(base64) {
  const halves = new Uint16Array(bytesOf(base64));
  const values = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) {
    const half = halves[i], exponent = (half >> 10) & 31, fraction = half & 1023;
    const size = exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24;
    values[i] = half >> 15 ? -size : size;
  }
  return values;
}

function reader(values) {
  let position = 0;
  return (count) => values.subarray(position, (position += count));
}

if (typeof document === "undefined" && typeof self !== "undefined") {
  let student;
  self.onmessage = ({ data }) => {
    if (data.network) {
      student = new Student(data.network, data.kernels, data.vectors);
      return;
    }
    const start = performance.now();
    const pixels = student.generate(data.latent, data.weights);
    self.postMessage({ id: data.id, pixels, milliseconds: performance.now() - start }, [pixels.buffer]);
  };
}

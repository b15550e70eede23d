"use strict";
// The page around the generator. A picture is { weights: [[class, weight], ...], seed, truncation, steps }:
// `steps` are the variations that were chosen one after the other, numbers from 0 to 7.

const model = JSON.parse(document.getElementById("model").textContent);
const element = (id) => document.getElementById(id);
const MOST_CLASSES = 8; // on the mixing pad
const STEP = 0.4; // of a variation, as an angle between latents
const WALK_MILLISECONDS = 2500; // from one picture to the next

// --- The worker: requests are answered in their order ---

const waiting = new Map();
const milliseconds = [];
const worker = new Worker(
  URL.createObjectURL(new Blob([element("generator").textContent], { type: "text/javascript" })));
worker.postMessage({ network: model.network, kernels: model.kernels, vectors: model.vectors });
worker.onmessage = ({ data }) => {
  milliseconds.push(data.milliseconds);
  if (milliseconds.length > 50) milliseconds.shift();
  waiting.get(data.id)(new ImageData(data.pixels, model.side, model.side));
  waiting.delete(data.id);
};
worker.onerror = (error) => say(`The generator failed: ${error.message}`);
let requests = 0;

function generate(latent, weights) {
  return new Promise((resolve) => {
    waiting.set(++requests, resolve);
    worker.postMessage({ id: requests, latent, weights });
  });
}

const generatePicture = (picture) => generate(latentOf(picture), picture.weights);

// --- Pictures ---

// Each variation turns the latents towards those of another seed, which depends on all steps so far.
function latentOf({ seed, truncation, steps }) {
  const latent = latentsOfSeed(BigInt(seed), model.network.latent);
  let other = BigInt(seed);
  for (const step of steps) {
    other = (other * 8191n + BigInt(step) + 1n) & MAX_SEED;
    const direction = latentsOfSeed(other, latent.length);
    for (let i = 0; i < latent.length; i++) {
      const turned = Math.cos(STEP) * latent[i] + Math.sin(STEP) * direction[i];
      latent[i] = Math.min(2, Math.max(-2, turned));
    }
  }
  return latent.map((value) => truncation * value);
}

function defaultPicture() {
  return { weights: [[model.start, 1]], seed: "0", truncation: model.truncation, steps: [] };
}

const nameOf = (label) => model.names[label];

function describe({ weights, seed, truncation, steps }) {
  const classes = weights.map(([label, weight]) =>
    weights.length > 1 ? `${nameOf(label)} ${Math.round(100 * weight)} %` : nameOf(label)).join(", ");
  const varied = steps.length ? `, ${steps.length} variation${steps.length > 1 ? "s" : ""} on` : "";
  return `${classes}, seed ${seed}${varied}, truncation ${truncation}`;
}

// --- The address: what it says is a picture, or it is nonsense ---

function addressOf({ weights, seed, truncation, steps }) {
  const shortened = weights.map(([label, weight]) =>
    weights.length > 1 ? `${label}:${+weight.toFixed(4)}` : label).join(",");
  const varied = steps.length ? `&steps=${steps.join(".")}` : "";
  return `#classes=${shortened}&seed=${seed}&truncation=${truncation}${varied}`;
}

function pictureOf(address) {
  const fields = new URLSearchParams(address.replace(/^#/, ""));
  const known = new Set(["classes", "seed", "truncation", "steps"]);
  const wrong = (what) => { throw new Error(what); };
  for (const name of fields.keys()) if (!known.has(name)) wrong(`${name}: no such setting`);
  const picture = defaultPicture();
  if (fields.has("classes")) picture.weights = parseClasses(fields.get("classes"), wrong);
  if (fields.has("seed")) picture.seed = parseSeed(fields.get("seed")) ?? wrong("seed: a whole number from 0");
  if (fields.has("truncation")) {
    const text = fields.get("truncation");
    if (!/^\d+(\.\d+)?$/.test(text) || Number(text) > 1) wrong("truncation: from 0 to 1");
    picture.truncation = Number(text);
  }
  if (fields.get("steps")) {
    if (!/^[0-7](\.[0-7]){0,99}$/.test(fields.get("steps"))) wrong("steps: numbers from 0 to 7");
    picture.steps = fields.get("steps").split(".").map(Number);
  }
  return picture;
}

function parseClasses(text, wrong) {
  const weights = text.split(",").map((part) => {
    const match = /^(\d{1,6})(?::(\d+(?:\.\d+)?))?$/.exec(part);
    if (!match || !model.labels.includes(Number(match[1]))) wrong(`classes: numbers such as ${model.labels[0]}`);
    return [Number(match[1]), Number(match[2] ?? 1)];
  });
  const total = weights.reduce((sum, [, weight]) => sum + weight, 0);
  const repeated = new Set(weights.map(([label]) => label)).size < weights.length;
  if (repeated || weights.length > MOST_CLASSES || !(total > 0)) {
    wrong(`classes: 1 to ${MOST_CLASSES} different ones, with weights`);
  }
  return weights.map(([label, weight]) => [label, weight / total]);
}

function parseSeed(text) {
  if (!/^\d{1,19}$/.test(text) || BigInt(text) > MAX_SEED) return null;
  return BigInt(text).toString();
}

// --- What is shown ---

let picture = defaultPicture();
let drawing = false;
let again = false;

const say = (text) => { element("message").textContent = text; };

// Shows the picture; one that comes while another is drawn waits, and only the latest is drawn.
async function show() {
  updateControls();
  element("stage").setAttribute("aria-busy", "true");
  again = true;
  if (drawing) return;
  drawing = true;
  while (again) {
    again = false;
    paint(element("student"), await generatePicture(picture));
    if (requests === 1) performance.mark("picture");
  }
  drawing = false;
  updateCosts();
  await showGallery();
}

function change(changes) {
  stopWalk();
  say("");
  picture = { ...picture, ...changes };
  return show();
}

function paint(canvas, image) {
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function smallCanvas() {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = model.side;
  canvas.setAttribute("aria-hidden", "true");
  return canvas;
}

function updateControls() {
  const { weights, seed, truncation, steps } = picture;
  element("description").textContent = describe(picture);
  element("student").setAttribute("aria-label", `Generated picture: ${describe(picture)}`);
  if (document.activeElement !== element("seed")) element("seed").value = seed;
  element("truncation").value = truncation;
  element("truncation-value").textContent = truncation.toFixed(2);
  element("back").disabled = !steps.length;
  element("command").textContent = commandOf(picture);
  updateChips();
  updatePad();
  showTeacher();
}

function commandOf({ weights, seed, truncation, steps }) {
  if (weights.length > 1 || steps.length) return "(one class, no variations)";
  return `tinygan sample --model=${model.name} --classes=${weights[0][0]} --seeds=${seed} ` +
    `--truncation=${truncation} --out=picture.png`;
}

function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

function updateCosts() {
  const time = median(milliseconds);
  element("student-cost").textContent = `${model.student} · ${time.toFixed(time < 10 ? 1 : 0)} ms`;
}

// --- Classes ---

function updateChips() {
  const query = element("search").value.trim().toLowerCase();
  const chosen = new Set(picture.weights.map(([label]) => label));
  const fits = (label) => !query || nameOf(label).toLowerCase().includes(query);
  const shown = model.labels.filter((label) => chosen.has(label) || fits(label)).slice(0, 60);
  for (const label of chosen) if (!shown.includes(label)) shown.push(label);
  const chips = element("chips");
  if ([...chips.children].map((chip) => chip.dataset.label).join() !== shown.join()) {
    chips.replaceChildren(...shown.map((label) => {
      const chip = document.createElement("button");
      chip.type = "button";
      chip.textContent = nameOf(label);
      chip.dataset.label = label;
      chip.onclick = () => toggle(label);
      return chip;
    }));
  }
  for (const chip of chips.children) {
    chip.setAttribute("aria-pressed", chosen.has(Number(chip.dataset.label)));
  }
}

function toggle(label) {
  const labels = picture.weights.map(([chosen]) => chosen);
  let next = labels.includes(label) ? labels.filter((chosen) => chosen !== label) : [...labels, label];
  if (!next.length) next = [label];
  if (next.length > MOST_CLASSES) {
    say(`At most ${MOST_CLASSES} classes are mixed. Put one back first.`);
    return;
  }
  change({ weights: next.map((chosen) => [chosen, 1 / next.length]) });
}

// --- The mixing pad: a regular polygon with a class in each corner ---

const RADIUS = 95;

function corners(count) {
  return Array.from({ length: count }, (_, i) => {
    const angle = (2 * Math.PI * i) / count - (count === 2 ? Math.PI : Math.PI / 2);
    return [RADIUS * Math.cos(angle), RADIUS * Math.sin(angle)];
  });
}

const area = ([ax, ay], [bx, by], [cx, cy]) => ((bx - ax) * (cy - ay) - (by - ay) * (cx - ax)) / 2;

// Weights of the corners for a point in the polygon, 0 or more, with the sum 1: Wachspress coordinates,
// "A Rational Finite Element Basis", 1975. Of two corners: how far along the line.
function weightsAt(point, points) {
  if (points.length === 2) {
    const along = Math.min(1, Math.max(0, (point[0] + RADIUS) / (2 * RADIUS)));
    return [1 - along, along];
  }
  const count = points.length;
  const beside = points.map((corner, i) => Math.max(1e-6, area(corner, points[(i + 1) % count], point)));
  const weights = points.map((_, i) => 1 / (beside[i] * beside[(i + count - 1) % count]));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

function pointOf(weights, points) {
  return [0, 1].map((axis) => weights.reduce((sum, [, weight], i) => sum + weight * points[i][axis], 0));
}

// The nearest point of the polygon to any point of the pad.
function intoPolygon(point, points) {
  if (points.length === 2) return [Math.min(RADIUS, Math.max(-RADIUS, point[0])), 0];
  const count = points.length;
  const outside = points.some((corner, i) => area(corner, points[(i + 1) % count], point) < 0);
  if (!outside) return point;
  let nearest = null, least = Infinity;
  points.forEach((a, i) => {
    const b = points[(i + 1) % count];
    const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
    const along = ((point[0] - a[0]) * dx + (point[1] - a[1]) * dy) / (dx * dx + dy * dy);
    const at = Math.min(1, Math.max(0, along));
    const candidate = [a[0] + at * dx, a[1] + at * dy];
    const distance = Math.hypot(point[0] - candidate[0], point[1] - candidate[1]);
    if (distance < least) [nearest, least] = [candidate, distance];
  });
  return nearest;
}

function svg(name, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text) node.textContent = text;
  return node;
}

function updatePad() {
  const { weights } = picture;
  element("mixer").hidden = weights.length < 2;
  if (weights.length < 2) return;
  const points = corners(weights.length);
  const [x, y] = pointOf(weights, points);
  element("pad").replaceChildren(
    svg("polygon", { points: points.map((corner) => corner.join(",")).join(" ") }),
    ...points.map(([cx, cy]) => svg("circle", { cx, cy, r: 5, class: "corner" })),
    ...points.map(([cx, cy], i) => svg(
      "text", { x: cx * 1.1, y: cy * 1.22 + 5 - (points.length === 2 ? 18 : 0) }, shortName(weights[i][0]))),
    svg("circle", { cx: x, cy: y, r: 11, class: "handle" }));
  element("mix").textContent =
    weights.map(([label, weight]) => `${nameOf(label)} ${weight.toFixed(2)}`).join(", ");
}

const shortName = (label) => nameOf(label).split(",")[0].slice(0, 14);

function moveTo(point) {
  const points = corners(picture.weights.length);
  const weights = weightsAt(intoPolygon(point, points), points);
  change({ weights: picture.weights.map(([label], i) => [label, weights[i]]) });
}

function padPoint(event) {
  const matrix = element("pad").getScreenCTM().inverse();
  const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix);
  return [x, y];
}

element("pad").onpointerdown = (event) => {
  element("pad").setPointerCapture(event.pointerId);
  moveTo(padPoint(event));
};
element("pad").onpointermove = (event) => {
  if (element("pad").hasPointerCapture(event.pointerId)) moveTo(padPoint(event));
};
const ARROWS = { ArrowLeft: [-8, 0], ArrowRight: [8, 0], ArrowUp: [0, -8], ArrowDown: [0, 8] };
element("pad").onkeydown = (event) => {
  if (!ARROWS[event.key]) return;
  event.preventDefault();
  const [x, y] = pointOf(picture.weights, corners(picture.weights.length));
  moveTo([x + ARROWS[event.key][0], y + ARROWS[event.key][1]]);
};

// --- The teacher's pictures: a sprite, a row per class and a column per seed ---

const sprite = new Image();
function showTeacher() {
  if (!model.teacher) return;
  const { weights, seed, truncation, steps } = picture;
  const { classes, seeds, cost, truncation: own } = model.teacher;
  element("teacher-figure").hidden = false;
  element("teacher-cost").textContent = cost;
  const row = classes.indexOf(weights[0][0]), column = Number(seed);
  const there = weights.length === 1 && row >= 0 && column < seeds && truncation === own && !steps.length;
  const context = element("teacher").getContext("2d");
  context.clearRect(0, 0, model.side, model.side);
  element("teacher-note").hidden = there;
  element("teacher").classList.toggle("absent", !there);
  if (there) {
    const { side } = model;
    context.drawImage(sprite, column * side, row * side, side, side, 0, 0, side, side);
  } else {
    element("teacher-note").textContent = "The teacher's pictures are here for " +
      `${classes.length < model.labels.length ? "some single classes" : "single classes"}, ` +
      `${seeds > 1 ? `seeds 0 to ${seeds - 1}` : "seed 0"}, at truncation ${own}.`;
  }
}

// --- Variations ---

const cells = [];
function makeGallery() {
  for (let i = 0; i < 9; i++) {
    const middle = i === 4;
    const cell = document.createElement(middle ? "div" : "button");
    const canvas = cell.appendChild(smallCanvas());
    if (!middle) {
      const step = i < 4 ? i : i - 1;
      cell.type = "button";
      cell.setAttribute("aria-label", `Variation ${step + 1}`);
      cell.onclick = () => change({ steps: [...picture.steps, step] });
      cells.push({ canvas, step });
    } else {
      cells.push({ canvas, step: null });
    }
    element("gallery").append(cell);
  }
}

let galleryOf = null;
async function showGallery() {
  const shown = picture;
  galleryOf = shown;
  for (const { canvas, step } of cells) {
    const steps = step === null ? shown.steps : [...shown.steps, step];
    const image = await generatePicture({ ...shown, steps });
    if (galleryOf !== shown || picture !== shown) return;
    paint(canvas, image);
  }
  try {
    history.replaceState(null, "", addressOf(picture)); // here, as Safari allows 100 in 30 seconds
  } catch {
    // the next picture has another chance
  }
  element("stage").setAttribute("aria-busy", "false");
}

// --- The walk ---

const walk = { kept: [], playing: false, frames: [] };

function updateKept() {
  element("kept").replaceChildren(...walk.kept.map(({ picture: kept, image }, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", `Let go of ${describe(kept)}`);
    const canvas = button.appendChild(smallCanvas());
    paint(canvas, image);
    button.onclick = () => {
      walk.kept.splice(i, 1);
      if (walk.kept.length < 2) stopWalk();
      updateKept();
    };
    return button;
  }));
  element("play").disabled = walk.kept.length < 2;
}

function between(from, to, at) {
  const smooth = at * at * (3 - 2 * at);
  const labels = new Map();
  for (const [label, weight] of from.weights) labels.set(label, (1 - smooth) * weight);
  for (const [label, weight] of to.weights) labels.set(label, (labels.get(label) ?? 0) + smooth * weight);
  // Along the arc, as the middle of two independent latents is shorter than both.
  const a = Math.cos((smooth * Math.PI) / 2), b = Math.sin((smooth * Math.PI) / 2);
  const same = from.seed === to.seed && !from.steps.length && !to.steps.length;
  const [one, other] = [latentOf(from), latentOf(to)];
  const latent = one.map((value, i) =>
    same ? (1 - smooth) * value + smooth * other[i] : a * value + b * other[i]);
  return { latent, weights: [...labels] };
}

async function playWalk() {
  walk.playing = true;
  walk.frames = [];
  element("play").textContent = "Stop";
  element("play").setAttribute("aria-pressed", "true");
  const started = performance.now();
  while (walk.playing) {
    const position = (performance.now() - started) / WALK_MILLISECONDS;
    const from = walk.kept[Math.floor(position) % walk.kept.length];
    const to = walk.kept[(Math.floor(position) + 1) % walk.kept.length];
    const { latent, weights } = between(from.picture, to.picture, position % 1);
    const image = await generate(latent, weights);
    const now = await new Promise(requestAnimationFrame);
    if (!walk.playing) break;
    paint(element("student"), image);
    walk.frames.push(now);
    if (walk.frames.length > 60) walk.frames.shift();
    if (walk.frames.length > 10 && walk.frames.length % 10 === 0) {
      const rate = (1000 * (walk.frames.length - 1)) / (now - walk.frames[0]);
      element("rate").textContent = `${rate.toFixed(0)} frames a second`;
    }
  }
}

function stopWalk() {
  walk.playing = false;
  element("play").textContent = "Play";
  element("play").setAttribute("aria-pressed", "false");
}

// --- Files and links ---

function download(canvas, name) {
  canvas.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${name.replace(/[^\p{L}\p{N}]+/gu, "_")}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
}

element("save-picture").onclick = () => download(element("student"), describe(picture));
element("save-grid").onclick = () => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 3 * model.side;
  const context = canvas.getContext("2d");
  cells.forEach((cell, i) =>
    context.drawImage(cell.canvas, (i % 3) * model.side, Math.floor(i / 3) * model.side));
  download(canvas, `${describe(picture)} variations`);
};
element("copy-link").onclick = async () => {
  try {
    await navigator.clipboard.writeText(location.href.split("#")[0] + addressOf(picture));
    say("Copied.");
  } catch {
    say("The browser doesn't allow it. The link is in the address bar.");
  }
};

// --- Controls ---

element("seed").oninput = () => {
  const seed = parseSeed(element("seed").value.trim());
  element("seed").setAttribute("aria-invalid", seed === null);
  if (seed === null) say("Seed: a whole number from 0.");
  else change({ seed, steps: [] });
};
element("seed").onkeydown = (event) => {
  const step = { ArrowUp: 1n, ArrowDown: -1n }[event.key];
  if (!step) return;
  event.preventDefault();
  const seed = BigInt(picture.seed) + step;
  if (seed < 0n || seed > MAX_SEED) return;
  element("seed").value = seed.toString();
  change({ seed: seed.toString(), steps: [] });
};
element("random").onclick = () =>
  change({ seed: String(crypto.getRandomValues(new Uint32Array(1))[0] % 100000), steps: [] });
element("truncation").oninput = () => change({ truncation: Number(element("truncation").value) });
element("search").oninput = updateChips;
element("back").onclick = () => change({ steps: picture.steps.slice(0, -1) });
element("keep").onclick = async () => {
  const kept = picture;
  walk.kept.push({ picture: kept, image: await generatePicture(kept) });
  updateKept();
};
element("play").onclick = () => {
  if (!walk.playing) {
    playWalk();
    return;
  }
  stopWalk();
  show();
};
window.onhashchange = () => {
  if (location.hash !== addressOf(picture)) open(location.hash);
};

function open(address) {
  stopWalk();
  let complaint = "";
  try {
    picture = pictureOf(address);
  } catch (error) {
    picture = defaultPicture();
    complaint = `The link can't be read (${error.message}). This is the default picture.`;
  }
  say(complaint);
  return show();
}

// --- Start ---

element("search").hidden = model.labels.length <= 24;
element("figures").replaceChildren(...model.figures.map((cells, line) => {
  const row = document.createElement("tr");
  row.append(...cells.map((text, column) => {
    const cell = document.createElement(line && column ? "td" : "th");
    if (cell.tagName === "TH") cell.scope = line ? "row" : "col";
    cell.textContent = text;
    return cell;
  }));
  return row;
}));
makeGallery();
if (model.teacher) {
  sprite.onload = showTeacher;
  sprite.src = model.teacher.sprite;
}
open(location.hash);

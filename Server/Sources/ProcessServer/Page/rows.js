// Turns output into rows of styled text: each line as a terminal would leave it, by the rules of
// the library's PlainText, and with its colors. It models lines, and no screen. It never answers
// what a terminal would, and has no links and no titles.
//
// Nothing here touches the document.

/** What is kept, however much comes. */
export const LIMITS = {
  rows: 3000,
  /** Of all rows together. */
  chars: 1 << 20,
  runs: 20_000,
  /** A longer line is continued in another row. */
  columns: 4096,
  /** A row with more changes of style keeps the last one to its end. */
  runsOfARow: 256,
  /** A sequence with longer parameters is none. */
  parameters: 256,
  /**
   * How many cells sequences may move or blank for each character that is written, and in advance.
   * A few bytes may ask for a whole row of work; beyond this they are left out.
   */
  workOfACharacter: 4,
  work: 1 << 18,
};

const GROUND = 0;
const ESCAPE = 1;
const ESCAPE_INTERMEDIATE = 2;
const CONTROL_SEQUENCE = 3;
const CONTROL_STRING = 4;

/** The screen modes in which programs draw on the whole screen. */
const ALTERNATE_SCREEN = /^\?(?:.*;)?(?:47|1047|1049)(?:;|$)/;

/** So many moves to other lines show that a program draws on the screen. */
const MOVES_OF_A_SCREEN = 3;

/** What a style can have beside colors, each a bit. */
const FLAGS = ["bold", "dim", "italic", "underline", "inverse", "strike", "control"];
const [BOLD, DIM, ITALIC, UNDERLINE, INVERSE, STRIKE, CONTROL] = FLAGS.map((_, bit) => 1 << bit);

/** The styles in use: one object for each, so that equal styles are identical. */
class Styles {
  #known = new Map();

  /** Colors are numbers of the page's own, or RGB, or null. */
  style(stream, fg, bg, flags) {
    const key = `${stream} ${fg} ${bg} ${flags}`;
    let style = this.#known.get(key);
    if (!style) {
      // A hostile program may use any number of colors.
      if (this.#known.size >= 1024) {
        // Each would keep those that came after it.
        for (const known of this.#known.values()) known.next = null;
        this.#known.clear();
      }
      style = { stream, fg, bg, flags, next: null };
      this.#known.set(key, style);
    }
    return style;
  }

  plain(stream) {
    return this.style(stream, null, null, 0);
  }

  /** Returns the style after a sequence SGR. */
  after(style, parameters) {
    let next = style.next?.get(parameters);
    if (!next) {
      const { fg, bg, flags } = withGraphics(style, parameters);
      next = this.style(style.stream, fg, bg, flags);
      if (!style.next || style.next.size >= 64) style.next = new Map();
      style.next.set(parameters, next);
    }
    return next;
  }
}

/** The state of one stream: what a chunk ends with is gone on with by its next. */
class Stream {
  constructor(name, styles) {
    this.name = name;
    this.styles = styles;
    this.reset();
  }

  reset() {
    this.decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    this.state = GROUND;
    this.parameters = "";
    this.style = this.styles.plain(this.name);
  }
}

export class Rows {
  constructor(limits = LIMITS) {
    this.limits = limits;
    this.styles = new Styles();
    this.blank = this.styles.plain("stdout");
    this.streams = {
      stdout: new Stream("stdout", this.styles),
      stderr: new Stream("stderr", this.styles),
    };
    /** The rows that cannot change any more. */
    this.closed = [];
    /** The number of the first of them, which is how many were dropped. */
    this.first = 0;
    this.chars = 0;
    this.runs = 0;
    /** The row that is being written. */
    this.cells = [];
    this.cellStyles = [];
    this.column = 0;
    this.isContinued = false;
    this.work = limits.work;
    this.isAlternate = false;
    this.moves = 0;
  }

  /** Whether another row makes the oldest one go. */
  get isFull() {
    const { rows, chars, runs, columns, runsOfARow } = this.limits;
    return this.closed.length >= rows || this.chars > chars - columns
      || this.runs > runs - runsOfARow;
  }

  /** Whether the output seems to be that of a full-screen program. */
  get drawsOnScreen() {
    return this.isAlternate || this.moves >= MOVES_OF_A_SCREEN;
  }

  /** The number that the open row will have when it is closed. */
  get openNumber() {
    return this.first + this.closed.length;
  }

  get openRow() {
    return {
      kind: "text", runs: runsOf(this.cells, this.cellStyles, this.limits.runsOfARow),
      isContinued: this.isContinued,
    };
  }

  /** Appends bytes of a stream. */
  write(bytes, name) {
    const stream = this.streams[name] ?? this.streams.stdout;
    this.#process(stream.decoder.decode(bytes, { stream: true }), stream);
    this.#trim();
  }

  /** Appends a row that says that bytes were missed. Nothing is joined over it. */
  gap(bytes) {
    this.#interrupt();
    this.#push({ kind: "gap", bytes });
    this.#trim();
  }

  /** Appends a row that is no output. */
  note(text) {
    this.#interrupt();
    this.#push({ kind: "note", text });
    this.#trim();
  }

  /** Shows what is left of a character that was cut off. */
  #interrupt() {
    for (const stream of Object.values(this.streams)) {
      this.#process(stream.decoder.decode(), stream);
      stream.reset();
    }
    if (this.cells.length > 0) this.#endRow();
    this.column = 0;
    this.isContinued = false;
  }

  #push(row) {
    this.closed.push(row);
    for (const run of row.runs ?? []) this.chars += run.text.length;
    this.runs += row.runs?.length ?? 1;
  }

  #trim() {
    const { rows, chars, runs } = this.limits;
    let count = 0;
    while (
      count < this.closed.length &&
      (this.closed.length - count > rows || this.chars > chars || this.runs > runs)
    ) {
      const row = this.closed[count];
      for (const run of row.runs ?? []) this.chars -= run.text.length;
      this.runs -= row.runs?.length ?? 1;
      count += 1;
    }
    if (count > 0) this.closed.splice(0, count);
    this.first += count;
  }

  #endRow(continues = false) {
    this.#push(this.openRow);
    this.cells = [];
    this.cellStyles = [];
    this.column = 0;
    this.isContinued = continues;
    // One write may be of many rows.
    const { rows, chars } = this.limits;
    if (this.closed.length > 2 * rows || this.chars > 2 * chars) this.#trim();
  }

  #put(character, style) {
    if (this.column >= this.limits.columns) this.#endRow(true);
    if (this.column > this.cells.length) this.#fill(this.column);
    this.cells[this.column] = character;
    this.cellStyles[this.column] = style;
    this.column += 1;
  }

  /** Returns whether so many cells may be moved or blanked. */
  #spend(cells) {
    if (cells > this.work) return false;
    this.work -= cells;
    return true;
  }

  /** Blanks up to a column that was moved to. */
  #fill(column) {
    if (!this.#spend(column - this.cells.length)) {
      this.column = this.cells.length;
      return;
    }
    while (this.cells.length < column) {
      this.cells.push(" ");
      this.cellStyles.push(this.blank);
    }
  }

  #truncate(count) {
    this.cells.length = Math.min(this.cells.length, count);
    this.cellStyles.length = this.cells.length;
  }

  #erase(from, to) {
    const end = Math.min(to, this.cells.length);
    if (!this.#spend(end - from)) return;
    for (let index = from; index < end; index += 1) {
      this.cells[index] = " ";
      this.cellStyles[index] = this.blank;
    }
  }

  #move(column) {
    this.column = Math.max(0, Math.min(column, this.limits.columns - 1));
  }

  /** Ends the row for a sequence that moves to another line. */
  #leaveRow() {
    this.moves = Math.min(this.moves + 1, MOVES_OF_A_SCREEN);
    if (this.cells.length > 0) this.#endRow();
    this.column = 0;
  }

  #process(text, stream) {
    const { work, workOfACharacter } = this.limits;
    this.work = Math.min(work, this.work + workOfACharacter * text.length);
    for (const character of text) {
      const code = character.codePointAt(0);
      if (stream.state !== GROUND && this.#continue(character, code, stream)) continue;
      if (code >= 0x20 && (code < 0x7f || code > 0x9f)) {
        this.#put(character, stream.style);
      } else {
        this.#control(code, stream);
      }
    }
  }

  #control(code, stream) {
    switch (code) {
    case 0x0a: case 0x0b: case 0x0c: case 0x84: case 0x85: return this.#endRow();
    case 0x0d: return this.#move(0);
    case 0x08: return this.#move(this.column - 1);
    case 0x09: {
      this.#move((this.column | 7) + 1);
      if (this.column > this.cells.length) this.#fill(this.column);
      return undefined;
    }
    case 0x07: return undefined;
    case 0x1b: {
      stream.state = ESCAPE;
      return undefined;
    }
    case 0x9b: return this.#beginSequence(stream);
    case 0x90: case 0x98: case 0x9d: case 0x9e: case 0x9f: {
      stream.state = CONTROL_STRING;
      return undefined;
    }
    default:
      if (code < 0x20 || code === 0x7f) {
        const picture = String.fromCharCode(code === 0x7f ? 0x2421 : 0x2400 + code);
        this.#put(picture, this.styles.style(stream.name, null, null, CONTROL));
      }
      return undefined;
    }
  }

  #beginSequence(stream) {
    stream.state = CONTROL_SEQUENCE;
    stream.parameters = "";
  }

  /** Goes on with a sequence; returns whether the character belongs to it. */
  #continue(character, code, stream) {
    const state = stream.state;
    stream.state = GROUND;
    if (state === CONTROL_STRING) {
      // One stray byte takes a line of text at most.
      if (code === 0x07 || code === 0x18 || code === 0x1a || code === 0x9c) return true;
      if (code === 0x1b || code === 0x0a || code === 0x0d) return false;
      stream.state = CONTROL_STRING;
      return true;
    }
    if (state === CONTROL_SEQUENCE) {
      if (code >= 0x20 && code <= 0x3f) {
        if (stream.parameters.length >= this.limits.parameters) return false;
        stream.parameters += character;
        stream.state = CONTROL_SEQUENCE;
        return true;
      }
      if (code < 0x40 || code > 0x7e) return false;
      this.#perform(character, stream.parameters, stream);
      return true;
    }
    if (code >= 0x20 && code <= 0x2f) {
      stream.state = ESCAPE_INTERMEDIATE;
      return true;
    }
    if (code < 0x30 || code > 0x7e) return false;
    if (state === ESCAPE) {
      if (character === "[") this.#beginSequence(stream);
      else if ("]PX^_".includes(character)) stream.state = CONTROL_STRING;
      else if (character === "D" || character === "E") this.#endRow();
      else if (character === "M") this.#leaveRow();
      else if (character === "c") stream.style = this.styles.plain(stream.name);
    }
    return true;
  }

  #perform(final, parameters, stream) {
    if (parameters.startsWith("?")) {
      if ((final === "h" || final === "l") && ALTERNATE_SCREEN.test(parameters)) {
        this.#leaveRow();
        this.isAlternate = final === "h";
        this.moves = 0;
      }
      return;
    }
    if (/[^0-9;:]/.test(parameters)) return;
    const number = Number.parseInt(parameters, 10);
    const count = Math.min(number > 0 ? number : 1, this.limits.columns);
    switch (final) {
    case "m":
      stream.style = this.styles.after(stream.style, parameters);
      return undefined;
    case "G": case "`": return this.#move(count - 1);
    case "C": case "a": return this.#move(this.column + count);
    case "D": case "j": return this.#move(this.column - count);
    case "J":
      if (number >= 2) return this.#leaveRow();
      // The line is all there is of the screen.
    case "K":
      if (number === 1) return this.#erase(0, this.column + 1);
      return this.#truncate(number === 2 ? 0 : this.column);
    case "X": return this.#erase(this.column, this.column + count);
    case "P":
      if (!this.#spend(this.cells.length)) return undefined;
      this.cells.splice(this.column, count);
      this.cellStyles.splice(this.column, count);
      return undefined;
    case "@": {
      if (this.column >= this.cells.length) return undefined;
      if (!this.#spend(this.cells.length + count)) return undefined;
      this.cells.splice(this.column, 0, ...Array(count).fill(" "));
      this.cellStyles.splice(this.column, 0, ...Array(count).fill(this.blank));
      return this.#truncate(this.limits.columns);
    }
    case "A": case "B": case "E": case "F": case "H": case "L": case "M": case "S": case "T":
    case "d": case "e": case "f": case "k":
      return this.#leaveRow();
    default: return undefined;
    }
  }
}

/** Joins cells of one style. */
function runsOf(cells, styles, limit) {
  const runs = [];
  let start = 0;
  for (let index = 1; index <= cells.length; index += 1) {
    const ends = index === cells.length || styles[index] !== styles[start];
    if (!ends || (runs.length === limit - 1 && index < cells.length)) continue;
    runs.push({ text: cells.slice(start, index).join(""), style: styles[start] });
    start = index;
  }
  return runs;
}

/** The flags that a code of SGR sets, and those that it clears. */
const SETTING = {
  1: BOLD, 2: DIM, 3: ITALIC, 4: UNDERLINE, 7: INVERSE, 9: STRIKE, 21: UNDERLINE,
};
const CLEARING = { 22: BOLD | DIM, 23: ITALIC, 24: UNDERLINE, 27: INVERSE, 29: STRIKE };

/** Returns the colors and flags of a style after a sequence SGR. */
function withGraphics({ fg, bg, flags }, parameters) {
  const words = parameters.split(";");
  while (words.length > 0) {
    const word = words.shift();
    const parts = word.split(":");
    const code = Number(parts[0]);
    if (code === 0) {
      fg = null;
      bg = null;
      flags = 0;
    } else if (code === 38 || code === 48) {
      const color = parts.length > 1 ? colorOfParts(parts.slice(1)) : colorOfWords(words);
      if (color !== null && code === 38) fg = color;
      if (color !== null && code === 48) bg = color;
    } else if (code === 4 && parts[1] === "0") flags &= ~UNDERLINE;
    else if (code in SETTING) flags |= SETTING[code];
    else if (code in CLEARING) flags &= ~CLEARING[code];
    else if (code === 39) fg = null;
    else if (code === 49) bg = null;
    else if (code >= 30 && code <= 37) fg = code - 30;
    else if (code >= 40 && code <= 47) bg = code - 40;
    else if (code >= 90 && code <= 97) fg = code - 82;
    else if (code >= 100 && code <= 107) bg = code - 92;
  }
  return { fg, bg, flags };
}

/** The color of `5;N` or `2;R;G;B`, which are taken from the words. */
function colorOfWords(words) {
  const kind = words.shift();
  if (kind === "5") return indexedColor(Number(words.shift()));
  if (kind === "2") return rgbColor(words.splice(0, 3));
  return null;
}

/** The color of `5:N`, `2:R:G:B` or `2:SPACE:R:G:B`. */
function colorOfParts(parts) {
  if (parts[0] === "5") return indexedColor(Number(parts[1]));
  if (parts[0] === "2") return rgbColor(parts.length > 4 ? parts.slice(2, 5) : parts.slice(1, 4));
  return null;
}

function rgbColor(words) {
  const [red, green, blue] = words.map(Number);
  if (![red, green, blue].every((value) => value >= 0 && value <= 255)) return null;
  return `#${(0x1000000 + (red << 16) + (green << 8) + blue).toString(16).slice(1)}`;
}

/** A number for the first 16 colors, which are the page's own; else RGB. */
function indexedColor(index) {
  if (!(index >= 0 && index <= 255)) return null;
  if (index < 16) return index;
  if (index >= 232) return rgbColor(Array(3).fill(8 + 10 * (index - 232)));
  const level = (step) => (step === 0 ? 0 : 55 + 40 * step);
  const cube = index - 16;
  return rgbColor([Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map(level));
}

/** The first 16 colors as backgrounds, in both themes. */
const BACKGROUNDS = [
  "#000000", "#c91b00", "#00a33f", "#c7a500", "#0451c8", "#b400b4", "#0598bc", "#c7c7c7",
  "#686868", "#ff6e67", "#5ff967", "#fefb67", "#6f8cff", "#ff77ff", "#60fdff", "#ffffff",
];

/** The pages behind the text: those of page.css. */
export const PAGES = { dark: "#15181c", light: "#ffffff" };

/**
 * Returns what shows a style: class names, and colors that must be set on the element. Text can be
 * read on its background, whatever colors the program has chosen.
 */
export function appearance({ stream, fg, bg, flags }) {
  const isInverse = (flags & INVERSE) !== 0;
  const classes = FLAGS.filter((_, bit) => flags & ~INVERSE & (1 << bit));
  if (stream === "stderr") classes.push("stderr");
  const colors = {};
  const [front, back] = isInverse ? [bg, fg] : [fg, bg];
  if (back !== null) {
    const background = rgbOf(back);
    colors["background-color"] = background;
    colors.color = legible(front === null ? "#ffffff" : rgbOf(front), background);
  } else if (isInverse) {
    classes.push("inverse");
  } else if (typeof front === "number") {
    classes.push(`f${front}`);
  } else if (front !== null) {
    classes.push("rgb");
    for (const [theme, page] of Object.entries(PAGES)) colors[`--${theme}`] = legible(front, page);
  }
  return { classes, colors };
}

function rgbOf(color) {
  return typeof color === "number" ? BACKGROUNDS[color] : color;
}

const channels = (rgb) => [1, 3, 5].map((at) => Number.parseInt(rgb.slice(at, at + 2), 16));

/** The relative luminance of WCAG. */
function luminance(rgb) {
  const [red, green, blue] = channels(rgb).map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** The contrast of WCAG between two colors. */
export function contrast(one, other) {
  const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
}

/** Returns a color, or the one next to it that can be read on a background. */
function legible(color, background) {
  const target = contrast("#ffffff", background) > contrast("#000000", background) ? 255 : 0;
  for (let step = 0; step <= 10; step += 1) {
    const mixed = rgbColor(
      channels(color).map((value) => Math.round(value + ((target - value) * step) / 10)));
    if (contrast(mixed, background) >= 4.5) return mixed;
  }
  return target === 255 ? "#ffffff" : "#000000";
}

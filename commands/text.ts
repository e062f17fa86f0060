/** Controls, line separators and what reorders text, but not the end of a line: data of others must not steer a terminal. */
export const UNSAFE = /(?!\n)[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu;

/** Text on one line that a terminal shows as it is. */
export const safe = (text: string): string => text.replace(/[\t\r\n]+/g, ' ').replace(UNSAFE, '\uFFFD');

const LONGEST_LINE = 2000;

/** A message of several lines, each as {@link safe} makes it and no longer than anybody reads. */
export const safeLines = (text: string): string =>
	text
		.split('\n')
		.map((line) => safe(line.length > LONGEST_LINE ? `${line.slice(0, LONGEST_LINE)}…` : line))
		.join('\n');

const WIDE: ReadonlyArray<readonly [number, number]> = [
	[0x1100, 0x115f],
	[0x2e80, 0x303e],
	[0x3041, 0x33ff],
	[0x3400, 0x4dbf],
	[0x4e00, 0x9fff],
	[0xa000, 0xa4cf],
	[0xa960, 0xa97f],
	[0xac00, 0xd7a3],
	[0xf900, 0xfaff],
	[0xfe30, 0xfe6f],
	[0xff00, 0xff60],
	[0xffe0, 0xffe6],
	[0x1f300, 0x1f64f],
	[0x1f680, 0x1f6ff],
	[0x1f900, 0x1faff],
	[0x20000, 0x3fffd],
];

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });

const graphemeWidth = (grapheme: string): number => {
	const point = grapheme.codePointAt(0) ?? 0;
	if (/^[\p{Mn}\p{Me}\p{Cf}]+$/u.test(grapheme)) return 0;
	if (/\p{Emoji_Presentation}|\ufe0f/u.test(grapheme)) return 2;
	return WIDE.some(([from, to]) => point >= from && point <= to) ? 2 : 1;
};

/** How many columns of a terminal a text takes: two for East Asian wide characters and emoji, none for combining marks. */
export const widthOf = (text: string): number => {
	if (/^[\x20-\x7e]*$/.test(text)) return text.length;
	let width = 0;
	for (const { segment } of graphemes.segment(text)) width += graphemeWidth(segment);
	return width;
};

/** The beginning of a text, with an ellipsis when it takes more than `width` columns. */
export const clip = (text: string, width: number): string => {
	if (widthOf(text) <= width) return text;
	let kept = '';
	let taken = 0;
	for (const { segment } of graphemes.segment(text)) {
		taken += graphemeWidth(segment);
		if (taken > width - 1) break;
		kept += segment;
	}
	return `${kept}…`;
};

/** A text filled up with spaces to `width` columns, on the left for numbers. */
export const pad = (text: string, width: number, right = false): string => {
	const space = ' '.repeat(Math.max(0, width - widthOf(text)));
	return right ? space + text : text + space;
};

const UNITS = [
	['d', 86_400_000, 2 * 86_400_000],
	['h', 3_600_000, 2 * 3_600_000],
	['m', 60_000, 60_000],
	['s', 1000, 0],
] as const;

/** How long ago, or how far off, an ISO time is: `12s ago`, `in 5m`, `now`. Anything else is given back as it came. */
export const relative = (time: string, now: number): string => {
	const at = Date.parse(time);
	if (Number.isNaN(at)) return time;
	const distance = Math.abs(now - at);
	if (distance < 1000) return 'now';
	const [unit, size] = UNITS.find(([, , from]) => distance >= from) ?? ['s', 1000];
	const amount = `${Math.floor(distance / size)}${unit}`;
	return at > now ? `in ${amount}` : `${amount} ago`;
};

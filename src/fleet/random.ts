/**
 * Seeded chance. The same seed gives the same numbers on every machine; a fork depends on its name only, so adding one user
 * of chance does not move the others.
 */
export type Random = {
	/** A fraction in [0, 1). */
	next(): number;
	/** A whole number in [min, max]. */
	between(min: number, max: number): number;
	/** True with probability `p` (0 to 1). */
	chance(p: number): boolean;
	/** `length` lower-case hexadecimal digits. */
	hex(length: number): string;
	/** A version 4 UUID. */
	uuid(): string;
	/** An independent generator for one purpose. */
	fork(name: string): Random;
};

const hash = (text: string, start: number): number => {
	let value = start;
	for (let index = 0; index < text.length; index++) value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
	value ^= value >>> 16;
	value = Math.imul(value, 0x85ebca6b);
	return (value ^ (value >>> 13)) >>> 0;
};

/** A generator (sfc32) for `seed`; equal seeds give equal sequences. */
export const createRandom = (seed: number | string): Random => {
	const name = String(seed);
	let a = hash(name, 0x811c9dc5);
	let b = hash(name, 0x9e3779b9);
	let c = hash(name, 0x85ebca6b);
	let counter = 1;

	const word = (): number => {
		const sum = (a + b + counter) | 0;
		counter = (counter + 1) | 0;
		a = b ^ (b >>> 9);
		b = (c + (c << 3)) | 0;
		c = (((c << 21) | (c >>> 11)) + sum) | 0;
		return sum >>> 0;
	};
	for (let round = 0; round < 12; round++) word();

	const next = (): number => word() / 0x100000000;
	const between = (min: number, max: number): number => min + Math.floor(next() * (max - min + 1));
	const hex = (length: number): string => {
		let text = '';
		while (text.length < length) text += word().toString(16).padStart(8, '0');
		return text.slice(0, length);
	};

	return {
		next,
		between,
		hex,
		chance: (p) => p > 0 && next() < p,
		uuid: () => `${hex(8)}-${hex(4)}-4${hex(3)}-${(8 + between(0, 3)).toString(16)}${hex(3)}-${hex(12)}`,
		fork: (purpose) => createRandom(`${name}/${purpose}`),
	};
};

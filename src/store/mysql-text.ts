import { type Connection, raw } from 'mysql2';
import { LATER } from './statement.ts';

/** What writes values into a text: a connection of mysql2. */
export type Writer = Pick<Connection, 'escape' | 'format'>;

/** Stands where a value goes while a text is taken apart; no text of ours holds one. */
const MARK = '\0';
/** How many texts are kept in pieces, and how long they may be: those of many rows come in every length, and seldom twice. */
const KEPT = 1_000;
const LONGEST = 4_000;

const kept = new Map<string, readonly string[]>();

const plain = (text: string): string => (text.startsWith(LATER) ? text.slice(LATER.length) : text);

/** The text around its placeholders, as mysql2 finds them: one piece more than it has values. */
const piecesOf = (writer: Writer, text: string, count: number): readonly string[] | null => {
	const known = kept.get(text);
	if (known?.length === count + 1) return known;
	if (text.length > LONGEST || text.includes(MARK)) return null;
	const pieces = writer
		.format(
			plain(text),
			Array.from({ length: count }, () => raw(MARK)),
		)
		.split(MARK);
	if (pieces.length !== count + 1) return null;
	if (kept.size >= KEPT) kept.delete(kept.keys().next().value ?? '');
	kept.set(text, pieces);
	return pieces;
};

const literal = (writer: Writer, value: unknown): string => {
	if (typeof value === 'string') return writer.escape(value);
	if (value === null) return 'NULL';
	return typeof value === 'number' ? String(value) : writer.format('?', [value]);
};

/**
 * A statement with its values in their places and without {@link LATER}, as `writer.format` gives it. That looks for quotes and comments
 * through the whole text each time (a tenth of what the daemon allocates for a switch), this once for each text. Values are always escaped
 * by mysql2.
 */
export const withValues = (writer: Writer, text: string, values: readonly unknown[]): string => {
	if (values.length === 0) return plain(text);
	const pieces = piecesOf(writer, text, values.length);
	if (pieces === null) return writer.format(plain(text), values as unknown[]);
	let written = pieces[0] ?? '';
	for (let index = 0; index < values.length; index++) written += literal(writer, values[index]) + pieces[index + 1];
	return written;
};

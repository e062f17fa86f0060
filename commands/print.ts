import type { Loaded } from '../src/config/origin.ts';
import type { Globals, Host } from './context.ts';
import type { Format } from './formats.ts';
import type { Column, Section, View } from './render.ts';
import type { Output } from './streams.ts';

/** Rows of a list operation, page by page, and how a person wants to see them. */
export type ListSpec<Row> = {
	readonly pages: AsyncIterable<readonly Row[]> | Iterable<readonly Row[]>;
	readonly columns: readonly Column<Row>[];
	/** What `--quiet` prints of a row. */
	readonly id: (row: Row) => string;
	/** What a terminal is told on stderr when there is nothing: `no clients`. */
	readonly empty: string;
	/** The operation's whole output, where the rows are only a part of it: what json and yaml print. */
	readonly output?: unknown;
};

/** One answer of an operation. */
export type OneSpec<Data> = {
	readonly data: Data;
	/** What `--quiet` prints. */
	readonly id: string;
	/** What a table and CSV show of it; nothing where the remark says it all. */
	readonly fields: readonly Column<Data>[];
	readonly sections?: readonly Section[];
	/** A remark on stderr. */
	readonly note?: string | undefined;
};

/** Data on stdout. The format is that of `-o`, of the configuration, or a table; a table is tab-separated when piped. */
export type Print = {
	list<Row>(spec: ListSpec<Row>): Promise<void>;
	one<Data>(spec: OneSpec<Data>): Promise<void>;
	/** Prepared text, such as a script. */
	text(text: string): Promise<void>;
};

type Parts = {
	readonly out: Output;
	readonly note: (text: string) => void;
	readonly host: Host;
	readonly globals: () => Globals;
	readonly config: () => Promise<Loaded>;
};

const wantsColor = ({ color }: Globals, { env, stdout }: Host): boolean => {
	if (color !== undefined) return color;
	return stdout.isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
};

/** The printer of one run. What it takes to draw is loaded when there is something to print. */
export const createPrint = ({ out, note, host, globals, config }: Parts): Print => {
	const viewOf = async (): Promise<View> => {
		const given = globals();
		const format: Format = given.output ?? (await config()).config.client.output ?? 'table';
		return {
			format,
			// An explicit format says more than --quiet, which then only drops the remarks.
			idsOnly: given.quiet === true && given.output === undefined,
			tty: host.stdout.isTTY === true,
			color: wantsColor(given, host),
			now: host.clock.now(),
			write: out.write,
		};
	};
	return {
		list: async (spec) => {
			const [view, { renderList }] = await Promise.all([viewOf(), import('./render.ts')]);
			const printed = await renderList(view, spec);
			if (printed === 0 && view.tty && (view.format === 'table' || view.format === 'wide')) note(spec.empty);
		},
		one: async (spec) => {
			const [view, { renderOne }] = await Promise.all([viewOf(), import('./render.ts')]);
			await renderOne(view, spec);
			if (spec.note !== undefined) note(spec.note);
		},
		text: (text) => out.write(text),
	};
};

import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { SpotError } from '../errors.ts';
import { createFeed, type PriceFeed } from './prices.ts';

/** A price history to read (data/README.md section 1). */
export type LoadOptions = {
	/** A file with the columns timestamp,instance_type,az,spot_usd_hour, oldest first; `.gz` is unpacked as it is read. */
	path: string;
	/** The instance types to keep; every row is checked all the same. */
	types: readonly string[];
	/** Zones to keep; all when absent. */
	zones?: readonly string[];
	/** On-demand prices: a file with region,instance_type,os,ondemand_usd_hour,vcpus,memory_gib (Linux is taken), or a map. */
	onDemand?: { path: string; region: string } | Readonly<Record<string, number>>;
};

type Pool = { times: number[]; prices: number[] };

/** Reads a price history (data/README.md section 1) as it streams. A malformed row is an error that names its line. */
export const loadPrices = async ({ path, types, zones, onDemand = {} }: LoadOptions): Promise<PriceFeed> => {
	const wanted = new Set(types);
	const histories = new Map<string, Map<string, Pool>>(types.map((type) => [type, new Map()]));
	for await (const { line, cells } of rows(path, 'timestamp,instance_type,az,spot_usd_hour')) {
		const at = instant(cells[0]);
		const [type, az, price] = [cells[1] ?? '', cells[2] ?? '', dollars(cells[3])];
		if (at === undefined) throw malformed(path, line, `"${cells[0]}" is not a UTC instant`);
		if (!/^[a-z][a-z0-9-]*\.[a-z0-9-]+$/.test(type)) throw malformed(path, line, `"${type}" is not an instance type`);
		if (!/^[a-z]{2,}(-[a-z]+)+-\d+(-[a-z]+-\d+)?[a-z]$/.test(az)) throw malformed(path, line, `"${az}" is not a zone`);
		if (price === undefined || price === 0) throw malformed(path, line, `"${cells[3]}" is not a price`);
		if (!wanted.has(type) || (zones && !zones.includes(az))) continue;
		const pools = histories.get(type);
		const pool = pools?.get(az) ?? { times: [], prices: [] };
		if (at < (pool.times.at(-1) ?? -Infinity)) throw malformed(path, line, `${type} in ${az} goes back in time`);
		pool.times.push(at);
		pool.prices.push(price);
		pools?.set(az, pool);
	}
	const missing = types.filter((type) => histories.get(type)?.size === 0);
	if (missing.length > 0) throw new SpotError('missing', 'NO_PRICES', `no prices for ${missing.join(', ')} in "${path}"`);
	return createFeed(histories, isFile(onDemand) ? await loadOnDemand(onDemand, wanted) : new Map(Object.entries(onDemand)));
};

const isFile = (source: NonNullable<LoadOptions['onDemand']>): source is { path: string; region: string } =>
	typeof source.path === 'string';

const loadOnDemand = async (source: { path: string; region: string }, wanted: ReadonlySet<string>): Promise<Map<string, number>> => {
	const prices = new Map<string, number>();
	for await (const { line, cells } of rows(source.path, 'region,instance_type,os,ondemand_usd_hour,vcpus,memory_gib')) {
		const price = dollars(cells[3]);
		if (price === undefined || price === 0) throw malformed(source.path, line, `"${cells[3]}" is not a price`);
		if (cells[0] === source.region && cells[2] === 'Linux' && wanted.has(cells[1] ?? '')) prices.set(cells[1] ?? '', price);
	}
	return prices;
};

async function* rows(path: string, header: string): AsyncGenerator<{ line: number; cells: string[] }> {
	const width = header.split(',').length;
	let line = 0;
	for await (const text of linesOf(path)) {
		line++;
		if (line === 1) {
			if (text !== header) throw malformed(path, 1, `expected the header "${header}"`);
			continue;
		}
		const cells = text.split(',');
		if (cells.length !== width) throw malformed(path, line, `expected ${width} columns, found ${cells.length}`);
		yield { line, cells };
	}
	if (line === 0) throw malformed(path, 1, `expected the header "${header}"`);
}

async function* linesOf(path: string): AsyncGenerator<string> {
	const file = createReadStream(path);
	const source = path.endsWith('.gz') ? pipeline(file, createGunzip(), () => undefined) : file;
	source.setEncoding('utf8');
	let rest = '';
	try {
		for await (const chunk of source) {
			const lines = `${rest}${chunk}`.split(/\r?\n/);
			rest = lines.pop() ?? '';
			yield* lines;
		}
	} catch (error) {
		if (isMissingFile(error)) throw new SpotError('missing', 'NO_PRICE_FILE', `no price file "${path}"`, { cause: error });
		throw new SpotError('invalid', 'PRICE_FILE', `cannot read "${path}": ${String(error)}`, { cause: error });
	}
	if (rest !== '') yield rest;
}

const isMissingFile = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT';

const malformed = (path: string, line: number, problem: string): SpotError =>
	new SpotError('invalid', 'PRICE_ROW', `"${path}" line ${line}: ${problem}`, { extras: { line } });

const instant = (text = ''): number | undefined => {
	if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,3})?Z$/.test(text)) return undefined;
	const at = Date.parse(text);
	return Number.isNaN(at) || new Date(at).toISOString().slice(0, 19) !== text.slice(0, 19) ? undefined : at;
};

const dollars = (text = ''): number | undefined => (/^\d{1,6}(\.\d{1,10})?$/.test(text) ? Number(text) : undefined);

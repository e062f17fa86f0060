import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, onTestFinished, test } from 'vitest';
import { loadPrices } from '../../src/fleet/price-csv.ts';
import { syntheticPrices } from '../../src/fleet/price-walk.ts';
import { shiftFeed } from '../../src/fleet/prices.ts';

const HEADER = 'timestamp,instance_type,az,spot_usd_hour';
const ROWS = [
	'2021-03-02T01:00:00Z,c5.large,us-east-1b,0.0350',
	'2021-03-02T02:00:00Z,c5.large,us-east-1a,0.0340',
	'2021-03-02T02:00:00Z,m5.large,us-east-1a,0.0960',
	'2021-03-02T03:00:00Z,c5.large,us-east-1b,0.0360',
	'2021-03-02T03:00:00Z,c5.large,us-east-1b,0.0370',
];

const file = async (lines: readonly string[], name = 'prices.csv', cut?: number): Promise<string> => {
	const folder = await mkdtemp(join(tmpdir(), 'spotctl-prices-'));
	onTestFinished(() => rm(folder, { recursive: true }));
	const path = join(folder, name);
	const text = `${lines.join('\n')}\n`;
	await writeFile(path, name.endsWith('.gz') ? gzipSync(text).subarray(0, cut) : text);
	return path;
};

const at = (time: string): number => Date.parse(`2021-03-02T${time}Z`);

test('a row holds from its instant until the next of its pool', async () => {
	for (const name of ['prices.csv', 'prices.csv.gz']) {
		const feed = await loadPrices({ path: await file([HEADER, ...ROWS], name), types: ['c5.large'], onDemand: { 'c5.large': 0.085 } });
		expect([feed.start, feed.end, feed.types, feed.zones('c5.large')]).toEqual([
			at('01:00:00'),
			at('03:00:00'),
			['c5.large'],
			['us-east-1a', 'us-east-1b'],
		]);
		const price = (az: string, time: string) => feed.priceAt('c5.large', az, at(time));
		expect([price('us-east-1b', '00:59:59'), price('us-east-1b', '01:00:00'), price('us-east-1b', '02:59:59')]).toEqual([
			null,
			0.035,
			0.035,
		]);
		expect([price('us-east-1b', '03:00:00'), price('us-east-1b', '23:00:00'), price('us-east-1c', '03:00:00')]).toEqual([
			0.037,
			0.037,
			null,
		]);
		expect(feed.pools('c5.large', at('01:30:00'))).toEqual([
			{ poolId: 'c5.large.us-east-1b', instanceType: 'c5.large', az: 'us-east-1b', price: 0.035 },
		]);
		expect(feed.pools('c5.large', at('02:00:00')).map(({ price: current }) => current)).toEqual([0.034, 0.035]);
		expect(feed.priceAt('m5.large', 'us-east-1a', at('04:00:00'))).toBeNull();
		expect([feed.onDemand('c5.large'), feed.onDemand('m5.large')]).toEqual([0.085, null]);
	}
});

test('a shifted feed is the same market at another time', async () => {
	const feed = await loadPrices({ path: await file([HEADER, ...ROWS]), types: ['c5.large'] });
	const later = shiftFeed(feed, 86_400_000);
	expect(later.start - feed.start).toBe(86_400_000);
	expect(later.priceAt('c5.large', 'us-east-1b', at('01:00:00'))).toBeNull();
	expect(later.pools('c5.large', at('02:00:00') + 86_400_000)).toEqual(feed.pools('c5.large', at('02:00:00')));
});

test('zones can be chosen; a type without a row is an error', async () => {
	const path = await file([HEADER, ...ROWS]);
	const feed = await loadPrices({ path, types: ['c5.large'], zones: ['us-east-1a'] });
	expect(feed.zones('c5.large')).toEqual(['us-east-1a']);
	await expect(loadPrices({ path, types: ['c5.large', 'p3.2xlarge'] })).rejects.toMatchObject({
		code: 'NO_PRICES',
		message: /p3\.2xlarge/,
	});
});

test.each([
	['2021-03-02 04:00:00,c5.large,us-east-1a,0.1', '"2021-03-02 04:00:00" is not a UTC instant'],
	['2021-02-30T04:00:00Z,c5.large,us-east-1a,0.1', '"2021-02-30T04:00:00Z" is not a UTC instant'],
	['2021-03-02T04:00:00+01:00,c5.large,us-east-1a,0.1', 'is not a UTC instant'],
	['2021-03-02T25:00:00Z,c5.large,us-east-1a,0.1', 'is not a UTC instant'],
	['2021-03-02T04:00:00Z,c5large,us-east-1a,0.1', '"c5large" is not an instance type'],
	['2021-03-02T04:00:00Z,c5.large,us-east-1,0.1', '"us-east-1" is not a zone'],
	['2021-03-02T04:00:00Z,c5.large,use1-az1,0.1', '"use1-az1" is not a zone'],
	['2021-03-02T04:00:00Z,c5.large,us-east-1a,', '"" is not a price'],
	['2021-03-02T04:00:00Z,c5.large,us-east-1a,0', '"0" is not a price'],
	['2021-03-02T04:00:00Z,c5.large,us-east-1a,-0.1', '"-0.1" is not a price'],
	['2021-03-02T04:00:00Z,c5.large,us-east-1a,1e3', '"1e3" is not a price'],
	['2021-03-02T04:00:00Z,c5.large,us-east-1a,NaN', '"NaN" is not a price'],
	['2021-03-02T04:00:00Z,"c5.large",us-east-1a,0.1', 'is not an instance type'],
	['2021-03-02T04:00:00Z,c5.large,us-east-1a', 'expected 4 columns, found 3'],
	['2021-03-02T04:00:00Z,c5.large,us-east-1a,0.1,0.2', 'expected 4 columns, found 5'],
	['', 'expected 4 columns, found 1'],
	['2021-03-02T02:59:59Z,c5.large,us-east-1b,0.1', 'c5.large in us-east-1b goes back in time'],
	['2021-03-02T04:00:00Z,not wanted,us-east-1b,0.1', '"not wanted" is not an instance type'],
])('the malformed row %j is an error with its line number', async (row, problem) => {
	const path = await file([HEADER, ...ROWS, row, ...ROWS.slice(4)]);
	await expect(loadPrices({ path, types: ['c5.large'] })).rejects.toMatchObject({
		name: 'SpotError',
		code: 'PRICE_ROW',
		message: expect.stringContaining(`line 7: `),
		extras: { line: 7 },
	});
	await expect(loadPrices({ path, types: ['c5.large'] })).rejects.toThrow(problem);
});

test('another header, an empty, a truncated and a missing file are errors that say so', async () => {
	const types = ['c5.large'];
	await expect(loadPrices({ path: await file(ROWS), types })).rejects.toThrow('line 1: expected the header');
	await expect(loadPrices({ path: await file([`\ufeff${HEADER}`]), types })).rejects.toThrow('line 1: expected the header');
	await expect(loadPrices({ path: await file([], 'empty.csv'), types })).rejects.toThrow('line 1: expected the header');
	await expect(loadPrices({ path: await file([HEADER, ...ROWS], 'cut.csv.gz', 60), types })).rejects.toMatchObject({ code: 'PRICE_FILE' });
	await expect(loadPrices({ path: '/nowhere/prices.csv.gz', types })).rejects.toMatchObject({ kind: 'missing', code: 'NO_PRICE_FILE' });
});

test('on-demand prices come from the Linux rows of the region', async () => {
	const onDemand = await file([
		'region,instance_type,os,ondemand_usd_hour,vcpus,memory_gib',
		'us-east-1,c5.large,Windows,0.177,2,4.0',
		'us-east-1,c5.large,Linux,0.085,2,4.0',
		'eu-west-1,c5.large,Linux,0.096,2,4.0',
		'eu-west-1,m5.large,Linux,0.107,2,8.0',
	]);
	const feed = await loadPrices({
		path: await file([HEADER, ...ROWS]),
		types: ['c5.large', 'm5.large'],
		onDemand: { path: onDemand, region: 'us-east-1' },
	});
	expect([feed.onDemand('c5.large'), feed.onDemand('m5.large')]).toEqual([0.085, null]);
	const broken = await file(['region,instance_type,os,ondemand_usd_hour,vcpus,memory_gib', 'us-east-1,c5.large,Linux,free,2,4.0']);
	const load = loadPrices({ path: await file([HEADER, ...ROWS]), types: ['c5.large'], onDemand: { path: broken, region: 'us-east-1' } });
	await expect(load).rejects.toThrow('line 2: "free" is not a price');
});

test('made-up prices are the same for a seed, differ by pool, move, and stay below on-demand', () => {
	const options = {
		onDemand: { 'c5.large': 0.085, 'm5.large': 0.096 },
		zones: ['us-east-1a', 'us-east-1b'],
		start: 0,
		end: 30 * 86_400_000,
	};
	const feed = syntheticPrices({ seed: 4, ...options });
	const sample = (of: typeof feed) =>
		Array.from({ length: 60 }, (_, index) => of.pools('c5.large', index * 43_200_000).map(({ price }) => price)).flat();
	expect(sample(feed)).toEqual(sample(syntheticPrices({ seed: 4, ...options })));
	expect(sample(feed)).not.toEqual(sample(syntheticPrices({ seed: 5, ...options })));
	expect(new Set(sample(feed)).size).toBeGreaterThan(30);
	expect(Math.max(...sample(feed))).toBeLessThanOrEqual(0.085);
	expect(Math.min(...sample(feed))).toBeGreaterThan(0.004);
	expect([feed.onDemand('m5.large'), feed.onDemand('c5.xlarge')]).toEqual([0.096, null]);
});

const data = new URL('../../../shared/data/', import.meta.url).pathname;

test.skipIf(!existsSync(data))('the real history of 2021 loads (needs ../shared/data)', async () => {
	const types = ['c5.large', 'm5.xlarge'];
	const onDemand = { path: `${data}ondemand_2021-11.csv.gz`, region: 'us-east-1' };
	const feed = await loadPrices({ path: `${data}prices_us-east-1_2021-03_04.csv.gz`, types, onDemand });
	expect(new Date(feed.start).toISOString().slice(0, 10)).toBe('2021-03-02');
	expect(new Date(feed.end).toISOString().slice(0, 10)).toBe('2021-04-30');
	expect(feed.onDemand('c5.large')).toBe(0.085);
	expect(feed.zones('c5.large').length).toBeGreaterThan(2);
	const middle = Date.UTC(2021, 3, 1);
	for (const type of types) {
		expect(feed.pools(type, middle)).toHaveLength(feed.zones(type).length);
		for (const { price } of feed.pools(type, middle)) expect(price).toBeLessThan(feed.onDemand(type) ?? 0);
	}
});

test.skipIf(!existsSync(data))('the auction market of 2015 loads (needs ../shared/data)', async () => {
	const feed = await loadPrices({ path: `${data}prices_us-east-1_2015_auction.csv.gz`, types: ['r3.large'] });
	expect(feed.zones('r3.large')).toEqual(['us-east-1a', 'us-east-1b', 'us-east-1e']);
});

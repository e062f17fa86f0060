import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type MariadbServer, mariadbBinary, startMariadb } from '../helpers/mariadb.ts';
import { booksTable, FULL_BOOKS, runBooks } from './books-scenario.ts';
import { CRASH_AGENTS, runCrashes } from './crash-scenario.ts';
import { OUTAGE_AGENTS, runOutage } from './failover-outage.ts';
import { FULL_SHOW, runShow } from './failover-show.ts';
import { stageTable } from './failover-stages.ts';
import { runStorm, STORM_AGENTS } from './failover-storm.ts';
import { hasHistory, history, invented, type Market } from './market.ts';
import { FULL_AGENTS, FULL_JOBS, runSpine } from './spine-scenario.ts';

const HELP = `The long runs: ${Object.values(FULL_JOBS).reduce((sum, count) => sum + count, 0)} forced switches of 60 agents, checked after every event; and the
daemon killed with -9 again and again under the same fleet. Each on SQLite and on a private MariaDB. Then failover: 200 agents on two daemons and
one MariaDB hit by every kind of signal; daemons killed with -9 under a storm of notices; the database gone for 20 s in the middle of one. Then
books: 30 simulated days of switches, failovers and zombies, the savings against an independent recomputation and against EC2's own bill. Ends
with 1 when anything was wrong.

  npm run soak                                   everything, about 90 minutes
  npm run soak -- --part spine --database sqlite --seed 7
  npm run soak -- --part crash --kills 20
  npm run soak -- --part failover --run show --out emergencies.json
  npm run soak -- --part books --database mariadb --seed 7 --days 30

  --part spine|crash|failover|books  one part only; may be repeated
  --run show|storm|outage      one run of the failover part only; may be repeated (show and outage are on MariaDB)
  --database sqlite|mariadb    one database only; may be repeated
  --seed N                     repeats an earlier run (default: the time); real time makes the crash run differ all the same
  --kills N                    kills per database (200 in the crash run, 300 in the storm)
  --speed N                    the fleet's time in the runs with kills, as a multiple of real time (30)
  --show-speed N               the same in the failover part's show (1)
  --days N                     simulated days of the books (30)
  --out FILE                   where the show writes what "emergencies list -o json" printed
  --minutes N                  real time after which one part gives up, or kills no more (20; books 90)
`;

type Kind = 'sqlite' | 'mariadb';
type Row = { readonly part: string; readonly database: Kind; readonly seed: number; readonly seconds: string; readonly violations: number };

const { values } = parseArgs({
	options: {
		part: { type: 'string', multiple: true },
		database: { type: 'string', multiple: true },
		seed: { type: 'string' },
		run: { type: 'string', multiple: true },
		kills: { type: 'string' },
		speed: { type: 'string', default: '30' },
		'show-speed': { type: 'string', default: '1' },
		days: { type: 'string', default: String(FULL_BOOKS.days) },
		out: { type: 'string' },
		minutes: { type: 'string' },
		help: { type: 'boolean', default: false },
	},
});

const say = (text: string): void => void process.stdout.write(`${text}\n`);

const fail = (text: string): never => {
	process.stderr.write(`soak: ${text}\n`);
	process.exit(2);
};

const chosen = <T extends string>(name: string, given: readonly string[] | undefined, all: readonly T[]): T[] => {
	for (const one of given ?? []) if (!all.some((each) => each === one)) fail(`--${name} is ${all.join(' or ')}, not "${one}"`);
	return given === undefined ? [...all] : all.filter((one) => given.includes(one));
};

const number = (name: 'kills' | 'speed' | 'show-speed' | 'minutes' | 'seed' | 'days', text: string): number => {
	const value = Number(text);
	if (!Number.isFinite(value) || value < 0 || text.trim() === '') fail(`--${name} is a number, not "${text}"`);
	return value;
};

const counts = (title: string, of: Readonly<Record<string, number>>): string =>
	`  ${title.padEnd(24)}${Object.entries(of)
		.map(([name, count]) => `${name} ${count}`)
		.join(', ')}`;

const withMariadb = async <T>(work: (url: string, server: MariadbServer) => Promise<T>, args: readonly string[] = []): Promise<T> => {
	const server = await startMariadb({ args });
	try {
		return await work((await server.createDatabase()).url, server);
	} finally {
		await server.stop();
	}
};

const withDatabase = async <T>(kind: Kind, work: (url: string) => Promise<T>, args: readonly string[] = []): Promise<T> => {
	if (kind === 'mariadb') return withMariadb(work, args);
	const folder = mkdtempSync(join(tmpdir(), 'spotctl-soak-'));
	try {
		return await work(`sqlite:${join(folder, 'soak.db')}`);
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
};

const spine = async (kind: Kind, market: Market, seed: number, timeLimit: number): Promise<readonly string[]> => {
	const result = await withDatabase(kind, (databaseUrl) =>
		runSpine({ databaseUrl, market, seed, agents: FULL_AGENTS, jobs: FULL_JOBS, timeLimit }),
	);
	say(counts('switches', result.outcomes));
	say(counts('counts', result.counts));
	say(counts('simulated minutes', { '': Math.round(result.simulatedMs / 60_000) }));
	return result.violations;
};

const crash = async (kind: Kind, market: Market, seed: number, timeLimit: number): Promise<readonly string[]> => {
	const kills = number('kills', values.kills ?? '200');
	const speed = number('speed', values.speed);
	const result = await withDatabase(kind, (databaseUrl) =>
		runCrashes({
			databaseUrl,
			market,
			seed,
			agents: CRASH_AGENTS,
			kills,
			speed,
			timeLimit,
			onKill: (kill) => {
				if (kill % 20 === 0) say(`  ${kill} kills`);
			},
		}),
	);
	say(counts('commands', result.outcomes));
	say(counts('answered and found', result.answers));
	say(counts('done, answer lost', result.unheard));
	say(counts('counts', result.counts));
	return result.counts['kills'] === kills
		? result.violations
		: [...result.violations, `only ${result.counts['kills']} of ${kills} kills in time`];
};

/** "Show it" of issue 3, at true speed: the percentiles are those of a fleet. */
const show = async (market: Market, seed: number): Promise<readonly string[]> => {
	const result = await withMariadb((databaseUrl) =>
		runShow({
			databaseUrl,
			market,
			seed,
			size: FULL_SHOW,
			daemons: 2,
			speed: number('show-speed', values['show-speed']),
			clearSeconds: 180,
			say: (text) => say(`  ${text}`),
		}),
	);
	say(counts('emergencies', result.outcomes));
	say(counts('counts', result.counts));
	for (const line of stageTable(result.stages)) say(`  ${line}`);
	if (values.out !== undefined) writeFileSync(values.out, `${JSON.stringify(result.emergencies, null, '\t')}\n`);
	return result.violations;
};

const storm = async (kind: Kind, market: Market, seed: number, timeLimit: number): Promise<readonly string[]> => {
	const kills = number('kills', values.kills ?? '300');
	const result = await withDatabase(kind, (databaseUrl) =>
		runStorm({
			databaseUrl,
			market,
			seed,
			agents: STORM_AGENTS,
			daemons: kind === 'mariadb' ? 2 : 1,
			kills,
			speed: number('speed', values.speed),
			timeLimit,
			onKill: (kill) => {
				if (kill % 20 === 0) say(`  ${kill} kills`);
			},
		}),
	);
	say(counts('emergencies', result.outcomes));
	say(counts('replicas', result.replicas));
	say(counts('what happened', result.weather));
	say(counts('counts', result.counts));
	return result.counts['kills'] === undefined || result.counts['kills'] < kills
		? [...result.violations, `only ${result.counts['kills']} of ${kills} kills in time`]
		: result.violations;
};

const outage = async (market: Market, seed: number): Promise<readonly string[]> => {
	const result = await withMariadb((databaseUrl, server) =>
		runOutage({ server, databaseUrl, market, seed, agents: OUTAGE_AGENTS, daemons: 2, speed: 5, outageMs: 20_000 }),
	);
	say(counts('emergencies', result.outcomes));
	say(counts('counts', result.counts));
	return result.violations;
};

const failover = async (kind: Kind, market: Market, seed: number, timeLimit: number): Promise<readonly string[]> => {
	const runs = chosen('run', values.run, ['show', 'storm', 'outage']);
	const violations: string[] = [];
	for (const run of runs) {
		if (kind === 'sqlite' && run !== 'storm') continue;
		say(` ${run}`);
		if (run === 'show') violations.push(...(await show(market, seed)));
		else if (run === 'storm') violations.push(...(await storm(kind, market, seed, timeLimit)));
		else violations.push(...(await outage(market, seed)));
	}
	return violations;
};

/** "Show it" of issue 4: no power fails in it, so MariaDB need not wait for its disk at every commit. */
const books = async (kind: Kind, market: Market, seed: number, timeLimit: number): Promise<readonly string[]> => {
	const days = number('days', values.days);
	const result = await withDatabase(
		kind,
		(databaseUrl) =>
			runBooks({
				databaseUrl,
				market: hasHistory ? market : invented(seed, days + 1),
				seed,
				...FULL_BOOKS,
				days,
				timeLimit,
				onDay: (day) => {
					if (day % 5 === 0) say(`  ${day} days`);
				},
			}),
		['--innodb-flush-log-at-trx-commit=0'],
	);
	say(counts('what happened', result.weather));
	say(counts('counts', result.counts));
	for (const line of booksTable(result)) say(`  ${line}`.trimEnd());
	return result.violations;
};

const PARTS = { spine, crash, failover, books };
const MINUTES = { spine: 20, crash: 20, failover: 20, books: 90 };

const main = async (): Promise<number> => {
	const parts = chosen('part', values.part, ['spine', 'crash', 'failover', 'books']);
	const kinds = chosen('database', values.database, ['sqlite', 'mariadb']);
	const seed = values.seed === undefined ? Math.floor(Date.now() / 1_000) % 1_000_000 : number('seed', values.seed);
	const minutes = values.minutes === undefined ? null : number('minutes', values.minutes);
	if (kinds.includes('mariadb') && mariadbBinary() === undefined)
		fail('no MariaDB server on this machine (apt-get install mariadb-server); --database sqlite leaves it out');
	const market = hasHistory ? await history() : invented(seed);
	say(`soak: seed ${seed}, on ${market.name}${hasHistory ? '' : ' (the real one is not beside this checkout: ../shared/data)'}`);
	const rows: Row[] = [];
	for (const part of parts) {
		for (const database of kinds) {
			say(`\n${part} on ${database}, seed ${seed}`);
			const began = performance.now();
			const violations = await PARTS[part](database, market, seed, (minutes ?? MINUTES[part]) * 60_000).catch((error: unknown) => [
				error instanceof Error ? (error.stack ?? error.message) : String(error),
			]);
			for (const violation of violations.slice(0, 30)) say(`  VIOLATION ${violation}`);
			rows.push({ part, database, seed, seconds: ((performance.now() - began) / 1_000).toFixed(1), violations: violations.length });
		}
	}
	say(`\n${'part'.padEnd(10)}${'database'.padEnd(10)}${'seed'.padStart(8)}${'seconds'.padStart(10)}${'violations'.padStart(12)}`);
	for (const { part, database, seconds, violations } of rows)
		say(`${part.padEnd(10)}${database.padEnd(10)}${String(seed).padStart(8)}${seconds.padStart(10)}${String(violations).padStart(12)}`);
	return rows.some(({ violations }) => violations > 0) ? 1 : 0;
};

if (values.help) say(HELP);
else process.exitCode = await main();

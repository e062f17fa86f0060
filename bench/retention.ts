import { sql } from 'kysely';
import { httpApi } from '../src/contract/http-client.ts';
import type { Api } from '../src/contract/index.ts';
import { systemClock } from '../src/deps.ts';
import { openStore } from '../src/store/open.ts';
import { inTurn, pace, quantile } from './drive.ts';
import { sendOn } from './memory.ts';
import type { Line } from './report.ts';
import { heartbeat } from './requests.ts';
import { type BenchDatabase, type DatabaseName, startDaemon, startDatabase } from './servers.ts';
import { switchOnce } from './switches.ts';
import { openConnections, populate, type World } from './world.ts';

/** What issue 4 asks for: no heartbeat waits longer while old rows are deleted. */
const LONGEST_MS = 100;
const FLEET = 200;
const HEARTBEATS = 100;
const SWITCHES = 2;
const CALM_SECONDS = 15;
const SEEDED = 20_000;
const DAY = 86_400_000;

export type RetentionSize = { readonly rows: number };

/** Puts price reports of long ago beside those of the fleet: a batch, and then copies of it. */
const seed = async (database: BenchDatabase, world: World, rows: number): Promise<void> => {
	const store = await openStore({ url: database.url, poolSize: 2, clock: systemClock });
	try {
		const [client] = await store.read.selectFrom('client').select('id').limit(1).execute();
		const [agent] = world.agents;
		if (client === undefined || agent === undefined) throw new Error('no fleet');
		const at = systemClock.now() - 200 * DAY;
		const points = JSON.stringify(Object.fromEntries(['a', 'b', 'c', 'd', 'e', 'f'].map((zone) => [`c5.large.us-east-1${zone}`, 34_000])));
		const row = (index: number) => ({
			...{ client_id: client.id, handle: agent.handle, source: 'primary' as const, points, instance_type: 'c5.large' },
			...{ ondemand_micros: 85_000, current_micros: 34_000, observed_at: at + index, arrived_at: at + index },
		});
		const first = Math.min(SEEDED, rows);
		const step = Math.min(500, first);
		for (let from = 0; from < first; from += step) {
			const batch = Array.from({ length: Math.min(step, first - from) }, (_, index) => row(from + index));
			await store.transact((tx) => tx.insertInto('price_report').values(batch).execute());
		}
		for (let done = first; done < rows; done += first) {
			const copy = Math.min(first, rows - done);
			await store.transact((tx) =>
				sql`insert into price_report (client_id, handle, source, instance_type, ondemand_micros, current_micros, points, observed_at, arrived_at)
					select client_id, handle, source, instance_type, ondemand_micros, current_micros, points, observed_at + ${done}, arrived_at + ${done}
					from price_report where arrived_at >= ${at} and arrived_at < ${at + copy}`.execute(tx),
			);
		}
	} finally {
		await store.close();
	}
};

type Load = { readonly heartbeats: number[]; readonly switches: number[] };

/** Heartbeats and switches at a steady rate, each timed from when it was due to its answer, until `until` says so. */
const traffic = async (world: World, seconds: number, until: Promise<void> | null): Promise<Load> => {
	const heartbeats: number[] = [];
	const switches: number[] = [];
	const { connections, during, close } = await openConnections(world.daemon.port, 9);
	const [one, ...forHeartbeats] = connections;
	if (one === undefined) throw new Error('no connection');
	// A switch changes its agent's handle, so those that switch are not those that send.
	const [switching, sending] = [world.agents.slice(0, 50), world.agents.slice(50).map(heartbeat)];
	const nextAgent = inTurn(switching);
	const nextHeartbeat = inTurn(sending);
	const send = sendOn(forHeartbeats, { next: nextHeartbeat, expect: '"status":"success"' });
	const timed = async (into: number[], work: () => Promise<void>): Promise<void> => {
		const from = performance.now();
		await work();
		into.push(performance.now() - from);
	};
	let before: Promise<void> = Promise.resolve();
	const oneSwitch = (): Promise<void> => {
		before = before.then(() => timed(switches, () => switchOnce(one, nextAgent(), world.operatorToken)));
		return before;
	};
	let over = false;
	const stopped = until?.then(() => {
		over = true;
	});
	try {
		do {
			await during(Promise.all([pace(HEARTBEATS, seconds, () => timed(heartbeats, send)), pace(SWITCHES, seconds, oneSwitch)]));
		} while (stopped !== undefined && !over);
		await during(before);
		return { heartbeats, switches };
	} finally {
		close();
	}
};

const onDatabase = { sqlite: 'SQLite', mariadb: 'MariaDB' } as const;
const ms = (value: number): string => `${value.toFixed(1)} ms`;
const longest = (values: readonly number[]): number => values.reduce((most, value) => Math.max(most, value), 0);

const line = (work: string, calm: readonly number[], busy: readonly number[], target: number | null, extra: string): Line => ({
	work,
	floor: `${ms(quantile(calm, 0.99))} p99, ${ms(longest(calm))} longest`,
	ours: `${ms(quantile(busy, 0.99))} p99, ${ms(longest(busy))} longest of ${busy.length}`,
	figure: ms(longest(busy)),
	target: target === null ? '' : `${target} ms`,
	met: target === null ? null : longest(busy) <= target,
	each: extra,
	cores: '',
});

/** Asks for a run of the rule of price reports and waits for its end. */
const runOnce = async (api: Api): Promise<void> => {
	const asked = await api.runRetention({ only: 'price_report' });
	for (;;) {
		await systemClock.sleep(2000);
		const job = (await api.listJobs({})).items.find((each) => each.name === 'retention');
		if (job !== undefined && job.runs > asked.job.runs && job.requested_at === null) return;
	}
};

/** Deletes old price reports while heartbeats and switches run; the floor is the same traffic just before. */
export const measureRetention = async (
	name: DatabaseName,
	folder: string,
	nodeArgs: readonly string[],
	{ rows }: RetentionSize,
	say: (text: string) => void,
): Promise<{ readonly lines: Line[]; readonly title: string }> => {
	const database = await startDatabase(name, folder);
	try {
		const first = await startDaemon(database, folder, nodeArgs);
		const fleet = await populate(database, first, FLEET);
		// The run that every start makes is over before there is anything for it to do; the next by itself is an hour later.
		await runOnce(httpApi(first.url, first.adminToken));
		await first.stop();
		say(`${database.title}: writing ${rows} old price reports`);
		await seed(database, fleet, rows);
		const daemon = await startDaemon(database, folder, nodeArgs);
		const world = { ...fleet, daemon };
		const api = httpApi(daemon.url, daemon.adminToken);
		await traffic(world, 3, null);
		const calm = await traffic(world, CALM_SECONDS, null);
		const from = performance.now();
		let seconds = 0;
		const ended = runOnce(api).then(() => {
			seconds = (performance.now() - from) / 1000;
		});
		const busy = await traffic(world, 5, ended);
		const rule = (await api.showRetention({})).rules.find((each) => each.rule === 'price_report');
		await daemon.stop();
		if (rule === undefined || rule.last_deleted < rows) throw new Error(`retention deleted ${rule?.last_deleted} of ${rows} rows`);
		const speed = `${rows} rows in ${seconds.toFixed(0)} s`;
		return {
			title: database.title,
			lines: [
				line(`heartbeat while old rows are deleted, ${onDatabase[name]}`, calm.heartbeats, busy.heartbeats, LONGEST_MS, speed),
				line(`whole switch meanwhile, ${onDatabase[name]}`, calm.switches, busy.switches, null, ''),
			],
		};
	} finally {
		await database.stop();
	}
};

export const retentionNotes = (about: string, titles: readonly string[], { rows }: RetentionSize): string =>
	`Retention: ${rows} price reports of 200 days ago, ${FLEET} agents, ${HEARTBEATS} heartbeats and ${SWITCHES} whole switches a second; floor: the same traffic before. ${titles.join('; ')}. ${about}`;

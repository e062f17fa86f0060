import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { type Daemon, startDaemon } from '../../daemon/daemon.ts';
import { loadConfig } from '../../src/config/load.ts';
import { httpApi } from '../../src/contract/http-client.ts';
import type { Api } from '../../src/contract/index.ts';
import { createCore, ensureAdminToken } from '../../src/core/index.ts';
import type { Clock } from '../../src/deps.ts';
import { SimClock } from '../../src/fleet/clock.ts';
import { Ec2 } from '../../src/fleet/ec2.ts';
import { createFleet, type Fleet, type RequestEvent } from '../../src/fleet/fleet.ts';
import type { AgentSettings } from '../../src/fleet/host.ts';
import { createRandom, type Random } from '../../src/fleet/random.ts';
import { type Fetcher, poolFetcher } from '../../src/fleet/transport.ts';
import { openLog } from '../../src/log.ts';
import type { Store } from '../../src/store/open.ts';
import { type Eyes, openEyes } from './database.ts';
import { type Market, REGION } from './market.ts';
import { type Agents, countTransactions, seededIds } from './spine-world.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** After so long without a call a machine is silent: of the fleet's heartbeats, a twelfth as frequent as in the field, two are missing. */
export const HEARTBEAT_TIMEOUT_MS = 18 * MINUTE;
/** How long old machines run on after a switch, as shipped. */
export const TERMINATE_WAIT_MS = 5 * MINUTE;

/**
 * The agents as shipped, but calling less often: 30 days of twelve agents at the shipped intervals are ten million requests. The order of
 * what they send, and everything in it, is as in the field.
 */
const SETTINGS: AgentSettings = {
	classic: {
		heartbeatMs: 6 * MINUTE,
		commandsMs: 10 * MINUTE,
		replicasMs: 9 * MINUTE,
		configMs: 4 * HOUR,
		pricingMs: 15 * MINUTE,
		terminationCheckMs: 30 * SECOND,
		rebalanceCheckMs: 5 * MINUTE,
		terminateListMs: 15 * MINUTE,
		cleanupMs: 24 * HOUR,
	},
	v32: { heartbeatMs: 6 * MINUTE, commandsMs: 10 * MINUTE, configMs: 4 * HOUR, pricingMs: 15 * MINUTE, terminateWaitMs: TERMINATE_WAIT_MS },
	v4: { heartbeatMs: 6 * MINUTE, emergencyMs: 30 * SECOND, decideMs: 15 * MINUTE },
};

/** How much slower the daemon's background work is than its clock: what it does every two seconds it does every two minutes. */
const UNHURRIED = 60;
/** How often a daemon marks that it serves, and how often it does here: a service clock without a mark for five seconds is an outage. */
const SERVING_MS = SECOND;
const MARK_MS = 4.9 * SECOND;

/**
 * The clock of the daemon: time is the fleet's, but periodic timers are rare and the monotonic time that leases and intervals of jobs are
 * measured with is slow, so that 30 days are 22,000 looks of the background work and not 1.3 million. What happens is booked with its own
 * time, not with that of the look that notices it.
 */
const unhurried = (clock: Clock): Clock => ({
	...clock,
	elapsed: () => clock.elapsed() / UNHURRIED,
	every: (ms, run) => clock.every(ms === SERVING_MS ? MARK_MS : Math.max(2 * SECOND, ms) * UNHURRIED, run),
});

/** A client with agents of its own. */
export type Tenant = { readonly clientId: string; readonly token: string; readonly fleet: Fleet };

/**
 * A daemon, its fleet of two clients and an EC2 in one process on one simulated clock, over real HTTP. The daemon is the product's own
 * (`startDaemon`) with the simulated clock injected: a daemon in a process of its own lives on real time, in which 30 days take 30 days.
 */
export type BooksWorld = {
	readonly clock: SimClock;
	readonly ec2: Ec2;
	readonly eyes: Eyes;
	readonly random: Random;
	readonly tenants: readonly Tenant[];
	/** The running daemon's operations, as an admin. */
	readonly api: Api;
	/** How many transactions daemons have ended. */
	transactions(): number;
	/** Whether a daemon runs. */
	readonly serves: boolean;
	/** Log lines of a level that means trouble. */
	troubles(): readonly string[];
	/** Ends the daemon in order; every call fails until {@link BooksWorld.resume}. */
	suspend(): Promise<void>;
	/** Starts a daemon on the same database. */
	resume(): Promise<void>;
	close(): Promise<void>;
};

/**
 * Waits until nothing that a timer set off is under way: no transaction, and on MariaDB no statement either, which holds a connection; on
 * SQLite a statement takes no time in which simulated time could run away from it.
 */
const settleWith = (counted: ReturnType<typeof countTransactions>, store: Store): (() => Promise<void>) => {
	let opened = 0;
	const together = new Set<Promise<unknown>>();
	const transactTogether = store.transactTogether.bind(store);
	store.transactTogether = (calls) => {
		const one = transactTogether(calls).finally(() => together.delete(one));
		together.add(one);
		return one;
	};
	const isBusy = (): boolean => {
		const { idle } = store.connections();
		opened = Math.max(opened, idle);
		return counted.busy() || together.size > 0 || idle < opened;
	};
	return async () => {
		for (let still = 0; still < 2; still++) {
			await setImmediate();
			await counted.idle();
			await Promise.allSettled([...together]);
			if (isBusy()) still = -1;
		}
	};
};

export const openBooksWorld = async (options: {
	readonly databaseUrl: string;
	readonly market: Market;
	readonly seed: number;
	readonly agents: Agents;
	readonly onRequest: (event: RequestEvent) => void;
}): Promise<BooksWorld> => {
	const { databaseUrl, market, seed, agents } = options;
	const random = createRandom(`books ${seed}`);
	let settle = async (): Promise<void> => undefined;
	const clock = new SimClock({ start: market.start, settle: () => settle(), stallMs: 5_000 });
	const folder = mkdtempSync(join(tmpdir(), 'spotctl-books-'));
	const troubles: string[] = [];
	const stream = new Writable({
		write: (chunk, _, done) => {
			for (const line of String(chunk).split('\n')) if (/"level":"(warn|error|fatal)"/.test(line)) troubles.push(line);
			done();
		},
	});
	const { config } = await loadConfig({
		flags: {
			stateDir: folder,
			'server.port': 0,
			'database.url': databaseUrl,
			'database.migrate': true,
			'agents.terminateWait': `${TERMINATE_WAIT_MS / SECOND}s`,
			'agents.heartbeatTimeout': `${HEARTBEAT_TIMEOUT_MS / SECOND}s`,
			// The polls of this fleet are rarer than the daemon expects of one.
			'failover.launchWithin': '10m',
			'failover.readyWithin': '15m',
			'failover.silentAfter': `${2 * (HEARTBEAT_TIMEOUT_MS / SECOND)}s`,
		},
		env: {},
		cwd: folder,
		home: folder,
		systemFile: join(folder, 'none.yaml'),
	});
	const { log } = await openLog({ level: 'info', format: 'json', stream, now: () => clock.now() });
	const ids = seededIds(random.fork('ids'));
	let ended = 0;
	let daemon: Daemon | null = null;
	let counted: ReturnType<typeof countTransactions> | null = null;
	const start = async (): Promise<Daemon> => {
		const started = await startDaemon({
			config,
			version: '0.0.0-test',
			clock: unhurried(clock.asDepsClock()),
			ids,
			log,
			parts: { createCore, ensureAdminToken },
		});
		counted = countTransactions(started.store);
		settle = settleWith(counted, started.store);
		daemon = started;
		return started;
	};
	const first = await start();
	if (first.admin.kind !== 'file' || first.admin.created === null) throw new Error('the daemon made no admin token');
	const admin = first.admin.created;
	let api = httpApi(first.url, admin);

	// The agents keep the address, whichever port the daemon of the moment listens on.
	let wire: Fetcher | null = poolFetcher(first.url, 4);
	const fetcher: Fetcher = {
		send: (call) => (wire === null ? Promise.reject(new Error('connect ECONNREFUSED')) : wire.send(call)),
		close: async () => {
			const open = wire;
			wire = null;
			await open?.close();
		},
	};
	const zones = [...new Set(market.types.flatMap((type) => market.feed.zones(type)))].sort();
	const ec2 = new Ec2({ clock, random: random.fork('ec2'), zones });
	const tenants: Tenant[] = [];
	// The second client's agents are the 3.2 ones that leave their old machines running.
	const shares = [
		{ name: 'acme', agents: { ...agents, v32: agents.v32 - Math.floor(agents.v32 / 2) }, settings: SETTINGS },
		{
			name: 'bolt',
			agents: { classic: 0, v32: Math.floor(agents.v32 / 2), v4: 0 },
			settings: { ...SETTINGS, v32: { ...SETTINGS.v32, autoTerminateOldInstance: false } },
		},
	];
	for (const { name, agents: own, settings } of shares) {
		const { client } = await api.createClient({ name });
		const fleet = createFleet({
			baseUrl: first.url,
			fetcher,
			token: client.token,
			clock,
			ec2,
			prices: market.feed,
			type: market.types,
			region: REGION,
			seed: `${seed}/${name}`,
			agents: own,
			logicalAgentId: (kind, index) => `${name}-${kind}-${index + 1}`,
			settings,
			// "On real EC2 the process usually dies" of ending its own machine (clients.md): mostly, but both ways must be booked.
			faults: { diesBeforeReport: 0.6, saysOfflineOnTermination: 0.3 },
			onRequest: options.onRequest,
		});
		tenants.push({ clientId: client.id, token: client.token, fleet });
	}
	const eyes = openEyes(databaseUrl);

	const suspend = async (): Promise<void> => {
		const [running, open] = [daemon, wire];
		if (running === null) return;
		wire = null;
		await open?.close();
		await running.stop();
		ended += counted?.ended() ?? 0;
		[daemon, counted] = [null, null];
		settle = async () => undefined;
	};

	return {
		clock,
		ec2,
		eyes,
		random,
		tenants,
		get api() {
			return api;
		},
		transactions: () => ended + (counted?.ended() ?? 0),
		get serves() {
			return daemon !== null;
		},
		troubles: () => troubles,
		suspend,
		resume: async () => {
			const { url } = await start();
			api = httpApi(url, admin);
			wire = poolFetcher(url, 4);
		},
		close: async () => {
			for (const { fleet } of tenants) await fleet.halt();
			await suspend();
			await eyes.close();
			rmSync(folder, { recursive: true, force: true });
		},
	};
};

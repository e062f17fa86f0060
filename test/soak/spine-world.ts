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
import type { Ids } from '../../src/deps.ts';
import { SimClock } from '../../src/fleet/clock.ts';
import { Ec2 } from '../../src/fleet/ec2.ts';
import type { Actor } from '../../src/fleet/ec2-types.ts';
import { createFleet, type Fleet, type RequestEvent } from '../../src/fleet/fleet.ts';
import { createRandom, type Random } from '../../src/fleet/random.ts';
import { openLog } from '../../src/log.ts';
import type { Store } from '../../src/store/open.ts';
import { type Eyes, openEyes } from './database.ts';
import { type Market, REGION } from './market.ts';

/** How many agents of each kind. */
export type Agents = { readonly classic: number; readonly v32: number; readonly v4: number };

/** Somebody asked EC2 to end a machine, also when it had ended already. */
export type TerminateCall = { readonly at: number; readonly instanceId: string; readonly by: Actor; readonly reason: string };

/** A daemon and its fleet in one process, on one simulated clock, over real HTTP. */
export type SpineWorld = {
	readonly clock: SimClock;
	readonly ec2: Ec2;
	readonly daemon: Daemon;
	readonly eyes: Eyes;
	readonly api: Api;
	readonly clientId: string;
	readonly token: string;
	readonly random: Random;
	/** The fleet as shipped, and the 3.2 agents whose AUTO_TERMINATE_OLD_INSTANCE is off. */
	readonly fleets: readonly Fleet[];
	readonly terminateCalls: readonly TerminateCall[];
	/** How many transactions the daemon has ended. */
	transactions(): number;
	/** Log lines of a level that means trouble. */
	troubles(): readonly string[];
	close(): Promise<void>;
};

/** The name in the image of a 3.2 agent that leaves its old machine running. */
export const KEEPER = 'v32-keeper';

/** Ids of a daemon that a seed repeats. */
export const seededIds = (random: Random): Ids => ({ uuid: () => random.uuid(), token: (prefix) => prefix + random.hex(43) });

/**
 * Counts the daemon's transactions, and waits for those under way: a sweep that a timer of the simulated clock set off must end before
 * simulated time runs away from it.
 */
export const countTransactions = (store: Store) => {
	const running = new Set<Promise<unknown>>();
	let ended = 0;
	const transact = store.transact.bind(store);
	store.transact = (work) => {
		const one = transact(work).finally(() => {
			running.delete(one);
			ended++;
		});
		running.add(one);
		return one;
	};
	return { ended: () => ended, idle: () => Promise.allSettled([...running]), busy: () => running.size > 0 };
};

export const openSpineWorld = async (options: {
	readonly databaseUrl: string;
	readonly market: Market;
	readonly seed: number;
	readonly agents: Agents;
	readonly terminateWaitSeconds: number;
	readonly onRequest: (event: RequestEvent) => void;
}): Promise<SpineWorld> => {
	const { databaseUrl, market, seed, agents, terminateWaitSeconds } = options;
	const random = createRandom(seed);
	let settle = async (): Promise<void> => undefined;
	const clock = new SimClock({ start: market.start, settle: () => settle(), stallMs: 3_000 });
	const folder = mkdtempSync(join(tmpdir(), 'spotctl-spine-'));
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
			'agents.terminateWait': `${terminateWaitSeconds}s`,
		},
		env: {},
		cwd: folder,
		home: folder,
		systemFile: join(folder, 'none.yaml'),
	});
	const { log } = await openLog({ level: 'info', format: 'json', stream, now: () => clock.now() });
	const daemon = await startDaemon({
		config,
		version: '0.0.0-test',
		clock: clock.asDepsClock(),
		ids: seededIds(random.fork('ids')),
		log,
		parts: { createCore, ensureAdminToken },
	});
	const counted = countTransactions(daemon.store);
	settle = async () => {
		do {
			await setImmediate();
			await setImmediate();
			await counted.idle();
		} while (counted.busy());
	};
	if (daemon.admin.kind !== 'file' || daemon.admin.created === null) throw new Error('the daemon made no admin token');
	const api = httpApi(daemon.url, daemon.admin.created);
	const { client } = await api.createClient({ name: 'spine' });

	const zones = [...new Set(market.types.flatMap((type) => market.feed.zones(type)))].sort();
	const ec2 = new Ec2({ clock, random: random.fork('ec2'), zones });
	const terminateCalls: TerminateCall[] = [];
	const terminate = ec2.terminate.bind(ec2);
	ec2.terminate = (instanceId, by, reason) => {
		terminateCalls.push({ at: clock.now(), instanceId, by, reason });
		return terminate(instanceId, by, reason);
	};

	const keepers = Math.floor(agents.v32 / 2);
	const shared = {
		baseUrl: daemon.url,
		token: client.token,
		clock,
		ec2,
		prices: market.feed,
		type: market.types,
		region: REGION,
		// "On real EC2 the process usually dies" of ending its own machine (clients.md): mostly, but both ways must end well.
		faults: { diesBeforeReport: 0.6, saysOfflineOnTermination: 0.3 },
		onRequest: options.onRequest,
	};
	const fleets = [
		createFleet({
			...shared,
			seed: `${seed}/shipped`,
			agents: { ...agents, v32: agents.v32 - keepers },
			settings: { v32: { terminateWaitMs: terminateWaitSeconds * 1_000 } },
		}),
		createFleet({
			...shared,
			seed: `${seed}/keepers`,
			agents: { v32: keepers },
			logicalAgentId: (_, index) => `${KEEPER}-${String(index + 1).padStart(4, '0')}`,
			settings: { v32: { autoTerminateOldInstance: false } },
		}),
	];
	const eyes = openEyes(databaseUrl);
	return {
		clock,
		ec2,
		daemon,
		eyes,
		api,
		clientId: client.id,
		token: client.token,
		random,
		fleets,
		terminateCalls,
		transactions: counted.ended,
		troubles: () => troubles,
		close: async () => {
			for (const fleet of fleets) await fleet.halt();
			await eyes.close();
			await daemon.stop();
			rmSync(folder, { recursive: true, force: true });
		},
	};
};

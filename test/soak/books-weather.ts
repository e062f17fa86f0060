import { SpotError } from '../../src/errors.ts';
import { AWS, Ec2Error, type Instance, OPERATOR } from '../../src/fleet/ec2-types.ts';
import type { Fleet } from '../../src/fleet/fleet.ts';
import type { Host } from '../../src/fleet/host.ts';
import type { BooksWorld, Tenant } from './books-world.ts';
import type { HostRow, LedgerWitness } from './ledger-witness.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** What happens to a fleet, each with how often it is drawn. */
const SORTS = {
	'forced switch': 6,
	interruption: 4,
	'interruption of a replica': 1,
	'interruption in the first hour': 2,
	rebalance: 2,
	silence: 3,
	'prices lost': 2,
	'hardware failure': 1,
	'agent uninstalled': 1,
	'agent deleted': 1,
	'machine nobody knows': 1,
	'zombie that cannot be ended': 2,
	'zombie kept': 2,
} as const;

export type Sort = keyof typeof SORTS;

export type Weather = {
	/** Begins, on the simulated clock. */
	start(): void;
	/** Nothing new happens from now on. */
	stop(): void;
	readonly counts: Readonly<Record<string, number>>;
};

/** Every tenth of a day somebody looks at EC2's console: agents without a machine get one, and forgotten machines are ended. */
const ROUND_MS = 20 * MINUTE;
/** How long a machine that should have ended may run before a person ends it by hand. */
const FORGOTTEN_MS = 8 * HOUR;

/**
 * Forced switches, interruptions with and without a standby, rebalances, silences, lost price reports, and agents that go away, drawn from
 * the seed every `gapMs` simulated milliseconds, with the people who clean up after it.
 */
export const createWeather = (world: BooksWorld, witness: LedgerWitness, gapMs: number): Weather => {
	const { clock, ec2 } = world;
	const random = world.random.fork('weather');
	const counts: Record<string, number> = {};
	const count = (what: string): void => {
		counts[what] = (counts[what] ?? 0) + 1;
	};
	const unwanted = new Map<string, number>();
	let isOver = false;

	const rows = (): HostRow[] => [...witness.hosts.values()].sort((a, b) => (a.instance_id < b.instance_id ? -1 : 1));
	const fleetOf = ({ client_id }: HostRow): Fleet | undefined => world.tenants.find(({ clientId }) => clientId === client_id)?.fleet;
	const hostOf = (row: HostRow): Host | undefined => fleetOf(row)?.host(row.instance_id);
	const machineOf = ({ instance_id }: HostRow): Instance | undefined => ec2.instances.find(({ id }) => id === instance_id);
	const runs = (row: HostRow): boolean => machineOf(row)?.state === 'running';
	const isSettled = (row: HostRow): boolean =>
		runs(row) && row.registered_at !== null && !row.deleted && hostOf(row)?.agent?.isRunning === true && hostOf(row)?.faults.lose === null;
	const draw = <T>(items: readonly T[]): T | undefined => items[random.between(0, items.length - 1)];
	const primaries = (): HostRow[] => rows().filter((row) => row.role === 'primary' && isSettled(row));
	const later = (ms: number, work: () => unknown): void => void clock.schedule(ms, work, 'weather');
	/** Of what the daemon refuses for a reason, the reason is counted. */
	const refused = (error: unknown): void => {
		if (!(error instanceof SpotError || error instanceof Ec2Error)) throw error;
		count(`refused: ${error.code}`);
	};

	/** A machine's calls, or some of them, are lost for a time; either much shorter or much longer than the timeout, so that no look decides. */
	const lose = (row: HostRow, ms: number, which: (route: string) => boolean): void => {
		const host = hostOf(row);
		if (host === undefined) return;
		host.faults.lose = ({ route }) => (which(route) ? 'request' : null);
		later(ms, () => {
			host.faults.lose = null;
		});
	};
	const age = (row: HostRow): number => clock.now() - (machineOf(row)?.launchedAt ?? 0);

	const act: Record<Sort, () => unknown> = {
		'forced switch': async () => {
			const row = draw(primaries().filter(({ mode }) => mode !== null));
			if (row === undefined) return false;
			const pools = fleetOf(row)?.prices.pools(row.instance_type ?? '', clock.now()) ?? [];
			const pool = draw(pools.filter(({ poolId }) => poolId !== row.pool_id));
			const isOnDemand = row.mode === 'spot' && random.chance(0.2);
			await world.api
				.forceSwitch({
					instance_id: row.instance_id,
					client_id: row.client_id,
					...(isOnDemand ? { target: 'ondemand' } : { target: 'pool', pool_id: pool?.poolId ?? '' }),
					...(random.chance(0.3) ? { auto_terminate: random.chance(0.3) } : {}),
				})
				.catch(refused);
			return true;
		},
		interruption: () => notify(draw(primaries().filter(({ mode }) => mode === 'spot'))),
		'interruption of a replica': () => notify(draw(rows().filter((row) => row.role === 'replica' && isSettled(row)))),
		'interruption in the first hour': () => notify(draw(primaries().filter((row) => row.mode === 'spot' && age(row) < 50 * MINUTE))),
		rebalance: () => {
			const row = draw(primaries().filter(({ mode }) => mode === 'spot'));
			if (row === undefined) return false;
			ec2.notice(row.instance_id, 'rebalance');
			const isMeant = random.chance(0.5);
			later(random.between(15, 40) * MINUTE, () => {
				if (ec2.describe(row.instance_id).state !== 'running') return;
				ec2.clearNotice(row.instance_id, 'rebalance');
				if (isMeant) ec2.notice(row.instance_id, 'termination');
			});
			return true;
		},
		silence: () => {
			const row = draw(primaries());
			if (row === undefined) return false;
			lose(row, random.chance(0.3) ? 4 * MINUTE : random.between(30, 300) * MINUTE, () => true);
			return true;
		},
		'prices lost': () => {
			const row = draw(primaries());
			if (row === undefined) return false;
			lose(row, random.between(1, 8) * HOUR, (route) => route.endsWith('/pricing-report') || route.endsWith('/decide'));
			return true;
		},
		'hardware failure': () => {
			const row = draw(rows().filter(isSettled));
			if (row === undefined) return false;
			ec2.terminate(row.instance_id, AWS, 'hardware failure');
			return true;
		},
		'agent uninstalled': () => {
			const row = draw(primaries());
			if (row === undefined) return false;
			hostOf(row)?.uninstall();
			later(random.between(1, 6) * HOUR, () => ec2.terminate(row.instance_id, OPERATOR, 'not needed any more'));
			return true;
		},
		'agent deleted': async () => {
			const row = draw(primaries());
			if (row === undefined) return false;
			await world.api.deleteAgent({ agent_id: row.agent_id }).catch(refused);
			if (random.chance(0.7)) later(random.between(1, 5) * HOUR, () => world.api.restoreAgent({ agent_id: row.agent_id }).catch(refused));
			else later(random.between(1, 20) * MINUTE, () => ec2.terminate(row.instance_id, OPERATOR, 'agent deleted'));
			return true;
		},
		'machine nobody knows': () => {
			const { fleet } = draw(world.tenants) as Tenant;
			const instanceType = draw(fleet.prices.types) ?? '';
			const az = draw(fleet.prices.zones(instanceType)) ?? null;
			const image = { id: 'ami-0', agent: null, logicalAgentId: null };
			const { id } = ec2.place({ instanceType, az, mode: 'spot', image, by: OPERATOR, reason: 'by hand' }, { running: true });
			later(random.between(10, 90) * MINUTE, () => ec2.terminate(id, OPERATOR, 'by hand'));
			return true;
		},
		'zombie that cannot be ended': () => {
			const row = draw(primaries());
			if (row === undefined) return false;
			ec2.lockTermination(row.instance_id, true);
			later(random.between(3, 12) * HOUR, () => ec2.lockTermination(row.instance_id, false));
			return act['forced switch']();
		},
		'zombie kept': async () => {
			const row = draw(rows().filter((one) => one.role === 'zombie' && runs(one)));
			if (row === undefined) return false;
			const { instance_id, client_id } = row;
			await world.api.holdInstance({ instance_id, client_id, hold: true }).catch(refused);
			later(random.between(1, 300) * MINUTE, () => world.api.holdInstance({ instance_id, client_id, hold: false }).catch(refused));
			return true;
		},
	};

	const notify = (row: HostRow | undefined): boolean => {
		if (row === undefined || ec2.notices(row.instance_id).action !== null) return false;
		ec2.notice(row.instance_id, 'termination');
		return true;
	};

	const deck = (Object.keys(SORTS) as Sort[]).flatMap((sort) => Array.from({ length: SORTS[sort] }, () => sort));
	const turn = async (): Promise<void> => {
		if (isOver) return;
		const sort = draw(deck) as Sort;
		if (world.serves && (await act[sort]()) !== false) count(sort);
		later(Math.round(gapMs * (0.5 + random.next())), turn);
	};

	/** People: what an auto scaling group does for agents without a machine, and what an operator does about machines that do not end. */
	const round = async (): Promise<void> => {
		if (isOver) return;
		later(ROUND_MS, round);
		if (!world.serves) return;
		const known = new Map(rows().map((row) => [row.instance_id, row]));
		for (const { fleet, clientId } of world.tenants) {
			const names = new Set(fleet.hosts().flatMap(({ logicalAgentId }) => logicalAgentId ?? []));
			for (const name of [...names].sort()) {
				const machines = ec2.instances.filter(({ image }) => image.logicalAgentId === name);
				const live = machines.filter(({ id, state }) => {
					const role = known.get(id)?.role;
					return (state === 'pending' || state === 'running') && role !== 'zombie' && role !== 'ended' && role !== 'terminated';
				});
				const last = machines.at(-1);
				if (live.length > 0 || last === undefined) continue;
				const kind = fleet.host(last.id)?.kind ?? fleet.hosts().find(({ logicalAgentId }) => logicalAgentId === name)?.kind;
				const agent = rows().find((row) => row.client_id === clientId && fleet.host(row.instance_id)?.logicalAgentId === name);
				if (kind === undefined) continue;
				if (agent?.deleted) await world.api.restoreAgent({ agent_id: agent.agent_id }).catch(refused);
				try {
					fleet.add({ kind, logicalAgentId: name, instanceType: last.instanceType });
					count('replacement');
				} catch (error) {
					refused(error);
				}
			}
		}
		for (const row of rows()) {
			const machine = machineOf(row);
			if (machine === undefined || (row.role !== 'zombie' && row.role !== 'ended' && row.role !== 'candidate')) continue;
			if (!unwanted.has(row.instance_id)) unwanted.set(row.instance_id, clock.now() + random.between(1, FORGOTTEN_MS / HOUR) * HOUR);
			if (clock.now() < (unwanted.get(row.instance_id) ?? 0)) continue;
			ec2.terminate(row.instance_id, OPERATOR, 'forgotten');
			// Of some the daemon is never told.
			if (/0[0-7]$/.test(row.instance_id)) continue;
			const report = { agent_id: row.agent_id, instance_id: row.instance_id, success: true };
			await world.api.terminationReport(report).then(() => count('end told by hand'), refused);
		}
	};

	/** Who keeps a standby machine, and whose old machines are left running. */
	const begin = async (): Promise<void> => {
		for (const [index, row] of primaries().entries()) {
			if (hostOf(row)?.kind !== 'classic') continue;
			if (index % 2 === 0) await world.api.changeConfig({ agent_id: row.agent_id, manualReplicaEnabled: true });
			if (index % 5 === 1) await world.api.changeConfig({ agent_id: row.agent_id, auto_terminate_enabled: false });
		}
		later(gapMs, turn);
		later(ROUND_MS, round);
	};

	return {
		counts,
		start: () => later(20 * MINUTE, begin),
		stop: () => {
			isOver = true;
		},
	};
};

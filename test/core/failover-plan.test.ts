import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CONFIRM_MS, deadlineOf, type FailoverSettings, type Move, nextMove, type Situation } from '../../src/core/failover-plan.ts';
import { choosePool, type Market, type Wishes } from '../../src/core/pool-choice.ts';
import type { Agent } from '../../src/store/agents.ts';
import type { Emergency } from '../../src/store/emergencies.ts';
import type { Host } from '../../src/store/hosts.ts';
import type { Replica } from '../../src/store/replicas.ts';
import { seeded } from '../helpers/invariants.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const NOW = Date.UTC(2021, 2, 4);
/** Silence of a host that counts. */
const TIMEOUT = 121 * SECOND;
const LEASE = 5 * MINUTE;

const SETTINGS: FailoverSettings = {
	launchMs: 45 * SECOND,
	readyMs: MINUTE,
	silentAfterMs: 180 * SECOND,
	retireRepeatedMs: 30 * MINUTE,
	retireSingleMs: 2 * HOUR,
	override: true,
};

const bit = fc.constantFrom(0 as const, 1 as const);
const settingsOf = fc.record({
	silentAfterMs: fc.constantFrom(0, MINUTE, 180 * SECOND),
	override: fc.boolean(),
});
const settings: fc.Arbitrary<FailoverSettings> = settingsOf.map((some) => ({ ...SETTINGS, ...some }));
const ago = (most: number) => fc.integer({ min: 0, max: most }).map((ms) => NOW - ms);
/** When a host was last heard: just now, a while ago, or so long ago that it counts as silent. */
const heardAt = fc.oneof(ago(30 * SECOND), ago(TIMEOUT), ago(10 * MINUTE));

const agentOf = fc.record({
	auto_switch_enabled: bit,
	manual_replica_enabled: bit,
	enabled: bit,
	status: fc.constantFrom('online' as const, 'offline' as const, 'disabled' as const, 'switching' as const, 'deleted' as const),
	terminated_at: fc.option(ago(MINUTE), { freq: 5 }),
});

/** A machine: mostly of EC2; an agent on anything else may register too. */
const instanceId = fc.constantFrom('i-1', 'i-2', 'i-0abc', 'i-3', 'laptop', 'replica-12345678');
const hostOf = (handle: string) =>
	fc
		.record({
			instance_id: instanceId,
			registered_at: fc.option(ago(HOUR), { freq: 4 }),
			said_offline_at: fc.option(ago(MINUTE), { freq: 2 }),
		})
		.map((some) => ({ handle, role: handle === 'standby' ? 'replica' : 'primary', az: 'us-east-1a', mode: 'spot', ...some }) as Host);

const replicaOf = fc
	.record({
		type: fc.constantFrom('manual' as const, 'automatic-rebalance' as const, 'automatic-termination' as const),
		stage: fc.constantFrom('ordered', 'served', 'syncing', 'ready', 'ready'),
		created_at: ago(HOUR),
		served: fc.nat(10 * MINUTE),
		launched: fc.nat(10 * MINUTE),
		served_count: fc.integer({ min: 1, max: 4 }),
	})
	.map(({ stage, served, launched, created_at, served_count, type }) => {
		const served_at = stage === 'ordered' ? null : Math.min(NOW, created_at + served);
		const has = stage === 'syncing' || stage === 'ready';
		return {
			id: 'r-1',
			type,
			status: has ? stage : 'launching',
			created_at,
			served_at,
			served_count: served_at === null ? 0 : served_count,
			lease_until: served_at === null ? null : served_at + LEASE,
			handle: has ? 'standby' : null,
			instance_id: null,
			launched_at: has ? Math.min(NOW, (served_at ?? created_at) + launched) : null,
		} as Replica;
	});

const emergencyOf = fc
	.record({
		kind: fc.constantFrom('termination' as const, 'rebalance' as const, 'silent-primary' as const),
		received_at: ago(3 * HOUR),
		deadline: fc.option(fc.integer({ min: -MINUTE, max: 10 * MINUTE })),
		last: fc.nat(3 * HOUR),
		repeats: bit,
		told: bit,
		handle: fc.constantFrom('primary', 'primary', 'primary', 'other'),
		promoted: fc.option(fc.nat(20 * MINUTE), { freq: 1 }),
		confirmed: fc.boolean(),
	})
	.map(({ received_at, deadline, last, promoted, confirmed, ...some }) => {
		const promoted_at = promoted === null ? null : Math.min(NOW, received_at + promoted);
		return {
			id: 'e-1',
			signal_at: received_at,
			received_at,
			deadline_at: deadline === null ? null : received_at + deadline,
			last_report_at: Math.min(NOW, received_at + last),
			promoted_at,
			confirmed_at: promoted_at !== null && confirmed ? NOW : null,
			new_handle: promoted_at === null ? null : 'new',
			new_instance_id: promoted_at === null ? null : 'i-new',
			...some,
		} as Emergency;
	});

/** Whatever can be in the books of an agent at once. */
const situation: fc.Arbitrary<Situation> = fc
	.record({
		agent: agentOf,
		primary: hostOf('primary'),
		standby: hostOf('standby'),
		primaryHeardAt: heardAt,
		replicaHeard: heardAt,
		replica: fc.option(replicaOf, { freq: 3 }),
		emergency: fc.option(emergencyOf, { freq: 4 }),
		canLaunch: fc.constantFrom(true, false, null),
		replicaCanLaunch: fc.constantFrom(true, false, null),
	})
	.map(({ agent, standby, primaryHeardAt, replicaHeard, replica, ...rest }) => {
		const replicaHost = replica?.handle == null ? null : standby;
		const replicaHeardAt = replicaHost === null || replicaHost.registered_at === null ? null : replicaHeard;
		const primarySilent = NOW - primaryHeardAt >= TIMEOUT;
		return {
			agent: { id: 'a-1', ...agent } as Agent,
			primaryHeardAt,
			primarySilent,
			silentSince: primarySilent ? primaryHeardAt : null,
			replica,
			replicaHost,
			replicaHeardAt,
			replicaSilent: replicaHeardAt !== null && NOW - replicaHeardAt >= TIMEOUT,
			...rest,
		};
	});

const always = (check: (s: Situation, move: Move, settings: FailoverSettings) => void): void =>
	fc.assert(
		fc.property(situation, settings, (s, set) => {
			check(s, nextMove(s, NOW, set), set);
		}),
		{ numRuns: 8000, ...seeded() },
	);

const frozen = <T>(value: T): T => {
	if (typeof value === 'object' && value !== null) for (const each of Object.values(Object.freeze(value))) frozen(each);
	return value;
};

describe('the next move of an agent', () => {
	it('promotes the live replica only, and only with a machine of EC2 that somebody named (decided 7, D-09)', () => {
		always((s, move) => {
			if (move.do !== 'promote') return;
			expect(move.replica).toBe(s.replica);
			expect(s.replicaHost?.instance_id).toMatch(/^i-/);
		});
	});

	it('promotes for a notice or for silence, each only with an emergency of that kind about the present primary', () => {
		always((s, move) => {
			if (move.do !== 'promote') return;
			expect(s.emergency?.promoted_at).toBe(null);
			expect(s.emergency?.handle).toBe(s.primary.handle);
			expect([s.emergency?.kind, move.reason]).toEqual(
				move.reason === 'silence' ? ['silent-primary', 'silence'] : ['termination', 'notice'],
			);
		});
	});

	it('promotes a replica that is not ready only when the primary is gone', () => {
		always((s, move) => {
			if (move.do !== 'promote' || s.replica?.status === 'ready') return;
			const gone = s.emergency !== null && NOW >= deadlineOf(s.emergency);
			expect(gone || s.primarySilent || s.agent.terminated_at !== null).toBe(true);
		});
	});

	it('never promotes over silence where that is switched off, or while the replica was not heard within the last minute', () => {
		always((s, move, { silentAfterMs }) => {
			if (move.do !== 'promote' || move.reason !== 'silence') return;
			expect(silentAfterMs).toBeGreaterThan(0);
			expect(s.primarySilent).toBe(true);
			expect(NOW - (s.silentSince ?? NOW)).toBeGreaterThanOrEqual(silentAfterMs);
			expect(NOW - (s.replicaHeardAt ?? 0)).toBeLessThanOrEqual(MINUTE);
		});
	});

	it('neither promotes nor orders for an agent that was deleted', () => {
		always((s, move) => {
			if (s.agent.status === 'deleted') expect(['retire', 'end', 'wait']).toContain(move.do);
		});
	});

	it('orders only while no replica lives, and for an emergency only while one is open and nothing was promoted', () => {
		always((s, move) => {
			if (move.do !== 'order') return;
			expect(s.replica).toBe(null);
			const acting = s.emergency !== null && s.emergency.promoted_at === null && s.emergency.handle === s.primary.handle;
			expect(move.type).toBe(acting ? (s.emergency?.kind === 'termination' ? 'automatic-termination' : 'automatic-rebalance') : 'manual');
		});
	});

	it('orders nothing from an agent that never fetches orders, nor from one whose primary is gone', () => {
		always((s, move) => {
			if (move.do !== 'order') return;
			expect([s.canLaunch === false, s.primarySilent]).toEqual([false, false]);
			if (move.type !== 'automatic-rebalance') expect(s.agent.terminated_at).toBe(null);
		});
	});

	it('tells a person where a launch that was fetched is overdue and nobody is left to fetch another', () => {
		let seen = 0;
		always((s, move, { override, launchMs }) => {
			const { agent, emergency, replica, primary } = s;
			const may = override || agent.auto_switch_enabled === 1 || agent.manual_replica_enabled === 1;
			if (!may || agent.status === 'deleted' || emergency?.kind !== 'termination' || emergency.told === 1) return;
			if (emergency.promoted_at !== null || emergency.handle !== primary.handle) return;
			if (replica === null || replica.handle !== null || replica.served_at === null) return;
			const gone = NOW >= deadlineOf(emergency) || s.primarySilent || agent.terminated_at !== null;
			if (!gone || NOW < Math.max(replica.served_at, emergency.received_at) + launchMs) return;
			seen += 1;
			expect(['tell', 'fail']).toContain(move.do);
		});
		expect(seen).toBeGreaterThan(0);
	});

	it('does nothing for a signal of AWS where no setting lets it', () => {
		always((s, move, { override }) => {
			const off = !override && s.agent.auto_switch_enabled === 0 && s.agent.manual_replica_enabled === 0;
			const signal = s.emergency !== null && s.emergency.kind !== 'silent-primary' && s.emergency.promoted_at === null;
			if (off && signal) expect(['end', 'retire', 'wait', 'fail']).toContain(move.do);
		});
	});

	it('waits for a time to come, or for somebody to call', () => {
		always((_, move) => {
			if (move.do === 'wait' && move.until !== null) expect(move.until).toBeGreaterThan(NOW);
		});
	});

	it('says why, whatever it is', () => {
		always((_, move) => expect(move.why.length).toBeGreaterThan(5));
	});

	it('is the same for the same facts, which it leaves as they are', () => {
		fc.assert(
			fc.property(situation, settings, (s, set) => {
				const first = nextMove(frozen(structuredClone(s)), NOW, frozen(set));
				expect(nextMove(structuredClone(s), NOW, set)).toEqual(first);
			}),
			{ numRuns: 1000, ...seeded() },
		);
	});
});

/** What the world does with an agent in the course of time: when its machines fall silent, and how launches go. */
type Fate = {
	readonly primaryDiesAt: number;
	readonly standbyDiesAt: number;
	readonly fetchAfter: number | null;
	readonly launches: ReadonlyArray<{
		readonly named: number | null;
		readonly ready: number | null;
		readonly lives: number;
		readonly calls: boolean;
	}>;
	readonly confirms: boolean;
};

const delay = fc.constantFrom(0, 5 * SECOND, 30 * SECOND, 44 * SECOND, 90 * SECOND, 4 * MINUTE);
const fate = (never: boolean): fc.Arbitrary<Fate> =>
	fc.record({
		primaryDiesAt: fc.constantFrom(-10 * MINUTE, 0, 50 * SECOND, 2 * MINUTE, 20 * MINUTE, 40 * MINUTE, 1000 * HOUR),
		standbyDiesAt: fc.constantFrom(-10 * MINUTE, 0, 2 * MINUTE, 1000 * HOUR),
		fetchAfter: never ? fc.constant(null) : fc.option(delay, { freq: 4 }),
		launches: fc.array(
			fc.record({
				named: fc.option(delay, { freq: 4 }),
				ready: fc.option(delay, { freq: 4 }),
				lives: fc.constantFrom(MINUTE, 10 * MINUTE, 1000 * HOUR),
				calls: fc.boolean(),
			}),
			{ minLength: 1, maxLength: 6 },
		),
		confirms: fc.boolean(),
	});

type Ran = { readonly ended: Extract<Move, { do: 'end' }> | null; readonly moves: readonly Move[]; readonly left: Situation };

/**
 * A model of everything that is not the decision: it applies the moves, and in between lets happen what fate says. The clock goes from one
 * thing that is due to the next, and at last a day ahead.
 */
const run = (start: Situation, fateOf: Fate, set: FailoverSettings): Ran => {
	let s = start;
	let now = NOW;
	let launches = 0;
	const moves: Move[] = [];
	let standbyDiesAt = NOW + fateOf.standbyDiesAt;
	const dead = (diesAt: number): boolean => now - diesAt >= TIMEOUT;
	const course = () => fateOf.launches[(launches - 1) % fateOf.launches.length];

	const look = (): void => {
		const diesAt = s.primary.handle === 'primary' ? NOW + fateOf.primaryDiesAt : Number.POSITIVE_INFINITY;
		const primaryHeardAt = Math.min(now, diesAt);
		const registered = s.replicaHost !== null && s.replicaHost.registered_at !== null;
		const replicaHeardAt = registered ? Math.min(now, standbyDiesAt) : null;
		s = {
			...s,
			primaryHeardAt,
			primarySilent: dead(primaryHeardAt),
			silentSince: dead(primaryHeardAt) ? primaryHeardAt : null,
			replicaHeardAt,
			replicaSilent: replicaHeardAt !== null && dead(replicaHeardAt),
		};
	};

	/** When something happens by itself that is not before `now`. */
	const happenings = (): { at: number; then: () => void }[] => {
		const { replica, emergency } = s;
		const found: { at: number; then: () => void }[] = [];
		const later = (at: number, then: () => void): void => void found.push({ at: Math.max(now, at), then });
		const primaryDeath = NOW + fateOf.primaryDiesAt;
		if (s.primary.handle === 'primary' && primaryDeath + TIMEOUT > now) later(primaryDeath + TIMEOUT, () => undefined);
		if (s.replicaHost?.registered_at != null && standbyDiesAt + TIMEOUT > now && Number.isFinite(standbyDiesAt))
			later(standbyDiesAt + TIMEOUT, () => undefined);
		const lives = now < primaryDeath;
		if (replica !== null && replica.served_at === null && fateOf.fetchAfter !== null && lives && s.canLaunch !== false)
			later(replica.created_at + fateOf.fetchAfter, () => {
				s = { ...s, replica: { ...replica, served_at: now, served_count: 1, lease_until: now + LEASE } };
			});
		const launch = course();
		if (replica?.served_at != null && replica.handle === null && launch?.named != null && replica.id !== 'r-1')
			later(replica.served_at + launch.named, () => {
				standbyDiesAt = launch.calls ? now + launch.lives : Number.POSITIVE_INFINITY;
				s = {
					...s,
					replica: { ...replica, status: 'syncing', handle: `host of ${replica.id}`, launched_at: now },
					replicaHost: {
						...s.primary,
						handle: `host of ${replica.id}`,
						role: 'replica',
						instance_id: `i-${replica.id}`,
						registered_at: launch.calls ? now : null,
						said_offline_at: null,
					},
				};
			});
		if (replica?.status === 'syncing' && launch?.ready != null && replica.id !== 'r-1')
			later((replica.launched_at ?? now) + launch.ready, () => {
				s = { ...s, replica: { ...replica, status: 'ready' } };
			});
		if (emergency?.promoted_at != null && emergency.confirmed_at === null && fateOf.confirms)
			later(emergency.promoted_at + 20 * SECOND, () => {
				s = { ...s, emergency: { ...emergency, confirmed_at: now } };
			});
		return found;
	};

	const without = { replica: null, replicaHost: null, replicaHeardAt: null, replicaSilent: false };
	const apply = (move: Exclude<Move, { do: 'wait' }>): void => {
		const { emergency } = s;
		if (move.do === 'promote') {
			const host = s.replicaHost ?? s.primary;
			const promoted =
				emergency === null ? null : { ...emergency, promoted_at: emergency.promoted_at ?? now, new_instance_id: host.instance_id };
			s = { ...s, ...without, primary: host, agent: { ...s.agent, terminated_at: null }, emergency: promoted };
		} else if (move.do === 'order') {
			launches++;
			const replica = { id: `o-${launches}`, type: move.type, status: 'launching', created_at: now, served_at: null, served_count: 0 };
			s = { ...s, replica: { ...replica, lease_until: null, handle: null, launched_at: null } as Replica };
		} else if (move.do === 'fail' || move.do === 'retire') s = { ...s, ...without };
		else if (move.do === 'tell') s = { ...s, emergency: emergency === null ? null : { ...emergency, told: 1 } };
		else if (move.do === 'watch-silence')
			s = {
				...s,
				emergency: {
					kind: 'silent-primary',
					handle: s.primary.handle,
					signal_at: now,
					received_at: now,
					promoted_at: null,
					told: 0,
				} as Emergency,
			};
	};

	for (let steps = 0; steps < 5000; steps++) {
		look();
		const move = nextMove(s, now, set);
		if (move.do !== 'wait') {
			moves.push(move);
			if (move.do === 'end') return { ended: move, moves, left: { ...s, emergency: null } };
			apply(move);
			continue;
		}
		const due = happenings().sort((a, b) => a.at - b.at)[0];
		const until = move.until ?? Number.POSITIVE_INFINITY;
		if (due !== undefined && due.at <= until && due.at <= NOW + 24 * HOUR) {
			now = due.at;
			due.then();
		} else if (until <= NOW + 24 * HOUR) now = until;
		else if (now < NOW + 24 * HOUR) now = NOW + 24 * HOUR;
		else return { ended: null, moves, left: s };
	}
	throw new Error('the moves go round in a circle');
};

/** An emergency that has just opened about the present primary of a living agent; one for silence opens beside a ready replica that calls. */
const opened = (kind: Emergency['kind']): fc.Arbitrary<Situation> =>
	fc.tuple(situation, replicaOf, fc.option(fc.integer({ min: 0, max: 5 * MINUTE }))).map(([s, other, deadline]) => {
		const emergency = {
			id: 'e-1',
			kind,
			handle: 'primary',
			signal_at: NOW,
			received_at: NOW,
			last_report_at: NOW,
			deadline_at: deadline === null ? null : NOW + deadline,
			repeats: 0,
			told: 0,
			promoted_at: null,
			confirmed_at: null,
		} as unknown as Emergency;
		const agent: Agent = { ...s.agent, status: 'online' };
		const ec2 = { handle: 'standby', role: 'replica', instance_id: 'i-standby', registered_at: NOW, said_offline_at: null } as Host;
		if (kind !== 'silent-primary')
			return { ...s, agent, emergency, replicaHost: s.replicaHost === null ? null : { ...s.replicaHost, ...ec2 } };
		const ready: Replica = { ...other, status: 'ready', handle: 'standby', launched_at: other.launched_at ?? NOW };
		return { ...s, agent, emergency, replica: ready, replicaHost: ec2, replicaHeardAt: NOW, replicaSilent: false };
	});

describe.each(['termination', 'rebalance', 'silent-primary'] as const)('an emergency of kind %s', (kind) => {
	const each = (check: (ran: Ran, set: FailoverSettings) => void, never = false): void =>
		fc.assert(
			fc.property(opened(kind), fate(never), settings, (s, what, set) => {
				check(run(s, what, set), set);
			}),
			{ numRuns: 2000, ...seeded() },
		);

	it('comes to an end, whatever happens', () => {
		each(({ ended }) => expect(ended).not.toBe(null));
	});

	it('comes to an end where nobody ever fetches anything', () => {
		each(({ ended }) => expect(ended).not.toBe(null), true);
	});

	it('ends with a confirmed primary, a person told, or nothing to do any more', () => {
		each(({ ended, moves }) => {
			if (ended === null) return;
			const promoted = moves.some((move) => move.do === 'promote');
			const named = promoted ? ['failed-over', 'unconfirmed'] : ['told', 'stood-by', 'recovered'];
			expect(named).toContain(ended.outcome);
			if (ended.outcome === 'unconfirmed') expect(ended.tell).toBe(true);
			if (ended.outcome === 'told') expect(ended.tell || moves.some((move) => move.do === 'tell')).toBe(true);
		});
	});

	it('promotes once, and orders nothing for itself after that or after its end', () => {
		each(({ moves, left, ended }, set) => {
			const at = moves.findIndex((move) => move.do === 'promote');
			if (at >= 0) {
				const after = moves.slice(at + 1);
				expect(after.filter((move) => move.do === 'promote')).toEqual([]);
				for (const move of after) if (move.do === 'order') expect(move.type).toBe('manual');
			}
			if (ended === null) return;
			for (const later of [NOW + 24 * HOUR, NOW + 24 * HOUR + CONFIRM_MS]) {
				const move = nextMove(left, later, set);
				if (move.do === 'order') expect(move.type).toBe('manual');
				expect(move.do).not.toBe('promote');
			}
		});
	});
});

const TYPES = ['c5.large', 'm5.large', 'r5.xlarge'];
const REGIONS = ['us-east-1', 'eu-west-1'];
const zonesOf = (region: string): string[] => ['a', 'b', 'c', 'd'].map((letter) => `${region}${letter}`);
const allZones = REGIONS.flatMap(zonesOf);

const poolRow = fc
	.record({ instance_type: fc.constantFrom(...TYPES), region: fc.constantFrom(...REGIONS), letter: fc.constantFrom('a', 'b', 'c', 'd') })
	.map(({ instance_type, region, letter }) => ({
		id: `${instance_type}.${region}${letter}`,
		instance_type,
		region,
		az: `${region}${letter}`,
		own: true,
	}));
const everyPool = TYPES.flatMap((type) => allZones.map((az) => `${type}.${az}`));
const market: fc.Arbitrary<Market> = fc.record({
	pools: fc.uniqueArray(poolRow, { selector: ({ id }) => id, maxLength: 16 }),
	prices: fc
		.array(fc.tuple(fc.constantFrom(...everyPool), fc.integer({ min: 1000, max: 5000 })), { maxLength: 24 })
		.map((entries) => new Map(entries)),
	signals: fc
		.array(fc.tuple(fc.constantFrom(...everyPool), fc.integer({ min: 0, max: 3 })), { maxLength: 12 })
		.map((entries) => new Map(entries)),
	onDemandMicros: fc.option(fc.constant(85_000)),
});
const primary = fc
	.record({
		instance_type: fc.option(fc.constantFrom(...TYPES), { freq: 20 }),
		az: fc.option(fc.constantFrom(...zonesOf('us-east-1')), { freq: 10 }),
		mode: fc.constantFrom('spot' as const, 'spot' as const, 'ondemand' as const, null),
		says: fc.boolean(),
	})
	.map(({ instance_type, az, mode, says }) => ({
		instance_type,
		region: 'us-east-1',
		az,
		mode,
		pool_id: says && mode === 'spot' && instance_type !== null && az !== null ? `${instance_type}.${az}` : null,
	}));
const someZones = fc.subarray(zonesOf('us-east-1'));
const plainWishes: fc.Arbitrary<Wishes> = fc.record({
	failed: fc.subarray(everyPool, { maxLength: 6 }),
	onDemandFailed: fc.boolean(),
	preferredZones: fc.constant<string[]>([]),
	excludedZones: someZones,
	mostMicros: fc.constant(null),
	poolId: fc.constant(null),
});
const wishes: fc.Arbitrary<Wishes> = fc
	.record({
		preferredZones: someZones,
		mostMicros: fc.option(fc.integer({ min: 1000, max: 5000 }), { freq: 1 }),
		poolId: fc.option(fc.constantFrom(...everyPool), { freq: 1 }),
	})
	.chain((some) => plainWishes.map((plain) => ({ ...plain, ...some })));

describe('the pool of a replica', () => {
	type Given = { host: Parameters<typeof choosePool>[0]; on: Market; wanted: Wishes };
	const each = (of: fc.Arbitrary<Wishes>, check: (given: Given, chosen: ReturnType<typeof choosePool>) => void): void =>
		fc.assert(
			fc.property(primary, market, of, (host, on, wanted) => {
				check({ host, on, wanted }, choosePool(host, on, wanted));
			}),
			{ numRuns: 3000, ...seeded() },
		);
	/** Pools of the type of the primary in its region that nothing speaks against. */
	const eligible = ({ host, on, wanted }: Given) =>
		on.pools.filter(
			(pool) =>
				pool.instance_type === host.instance_type &&
				pool.region === host.region &&
				(host.mode === 'ondemand' || pool.az !== host.az) &&
				!wanted.excludedZones.includes(pool.az) &&
				!wanted.failed.includes(pool.id),
		);

	it('is never that of the primary, nor one that has just failed', () => {
		each(wishes, ({ host, wanted }, { choice }) => {
			if (choice?.mode !== 'spot') return;
			if (host.mode !== 'ondemand') expect(choice.az).not.toBe(host.az);
			expect(wanted.failed).not.toContain(choice.poolId);
		});
	});

	it('is never in a zone that was excluded, on-demand neither', () => {
		each(wishes, ({ wanted }, { choice }) => {
			if (choice !== null) expect(wanted.excludedZones).not.toContain(choice.az);
		});
	});

	it('has the type and region of the primary, and names its own zone', () => {
		each(wishes, ({ host }, { choice }) => {
			if (choice === null) return;
			expect([choice.type, choice.region]).toEqual([host.instance_type, host.region]);
			expect(choice.poolId).toBe(`${choice.type}.${choice.az}`);
		});
	});

	it('is one of its type and region while there is one, whatever zones are preferred', () => {
		each(wishes, (given, { choice }) => {
			if (given.wanted.poolId !== null || given.wanted.mostMicros !== null) return;
			const pools = eligible(given).map(({ id }) => id);
			if (pools.length > 0) expect(pools).toContain(choice?.poolId);
		});
	});

	it('is the one of least risk, then price, an unknown price after every known one', () => {
		each(plainWishes, (given, { choice }) => {
			const { on, host } = given;
			const pools = eligible(given).filter(({ az }) => az !== host.az);
			const least = Math.min(...pools.map(({ id }) => on.signals.get(id) ?? 0));
			const safest = pools.filter(({ id }) => (on.signals.get(id) ?? 0) === least);
			const cheapest = Math.min(...safest.map(({ id }) => on.prices.get(id) ?? Number.POSITIVE_INFINITY));
			const best = safest.filter(({ id }) => (on.prices.get(id) ?? Number.POSITIVE_INFINITY) === cheapest).map(({ id }) => id);
			if (best.length > 0) expect(best).toContain(choice?.poolId);
		});
	});

	it('is found without any price, where it would be found with one', () => {
		each(plainWishes, ({ host, on, wanted }, { choice }) => {
			const bare = choosePool(host, { ...on, prices: new Map() }, wanted).choice;
			expect(bare === null).toBe(choice === null);
			expect(bare?.hourlyMicros ?? null).toBe(null);
		});
	});

	it('costs what is known, and at most what was allowed', () => {
		each(wishes, ({ on, wanted }, { choice }) => {
			if (choice?.mode !== 'spot') return;
			expect(choice.hourlyMicros).toBe(on.prices.get(choice.poolId) ?? null);
			if (wanted.mostMicros !== null) expect(choice.hourlyMicros ?? Number.POSITIVE_INFINITY).toBeLessThanOrEqual(wanted.mostMicros);
		});
	});

	it('is the one that was asked for, or none', () => {
		each(wishes, ({ wanted }, { choice }) => {
			if (wanted.poolId !== null && choice !== null) expect(choice.poolId).toBe(wanted.poolId);
		});
	});

	it('is on-demand only where no pool is left', () => {
		each(plainWishes, (given, { choice }) => {
			if (choice?.mode === 'ondemand') {
				expect(eligible(given)).toEqual([]);
				expect(given.wanted.onDemandFailed).toBe(false);
			}
		});
	});

	it('does not depend on the order in which pools are known', () => {
		fc.assert(
			fc.property(primary, market, wishes, fc.infiniteStream(fc.nat()), (host, on, wanted, keys) => {
				const shuffled = on.pools.map((pool) => ({ pool, key: keys.next().value })).sort((a, b) => a.key - b.key);
				const again = choosePool(host, { ...on, pools: shuffled.map(({ pool }) => pool) }, wanted);
				expect(again.choice).toEqual(choosePool(host, on, wanted).choice);
			}),
			{ numRuns: 1000, ...seeded() },
		);
	});

	it('is chosen with a reason, and every other zone of the region is rejected with one', () => {
		each(wishes, ({ host, on }, { choice, rejected }) => {
			for (const { why } of rejected) expect(why.length).toBeGreaterThan(3);
			if (host.instance_type === null) return expect([choice, rejected.length]).toEqual([null, 1]);
			const named = rejected.map(({ what }) => what);
			expect(new Set(named).size).toBe(named.length);
			const zones = new Set(on.pools.filter(({ region }) => region === host.region).map(({ az }) => `${host.instance_type}.${az}`));
			for (const pool of zones) expect([pool, named.includes(pool)]).toEqual([pool, choice?.mode !== 'spot' || choice.poolId !== pool]);
			if (choice !== null) expect(choice.why.length).toBeGreaterThan(5);
		});
	});
});

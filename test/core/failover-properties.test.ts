import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Input, iso, type Name } from '../../src/contract/index.ts';
import type { Host } from '../../src/store/hosts.ts';
import type { Replica } from '../../src/store/replicas.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import {
	brokenInvariants,
	brokenPromises,
	brokenStandbys,
	createCommandWatch,
	inTime,
	runsOf,
	seeded,
	unsettled,
} from '../helpers/invariants.ts';
import { withClient } from '../helpers/run-client.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { type ClientActor, pool, type Reply, type World } from '../helpers/world.ts';

/** How many machines may come by themselves, of two agents in turn; each has its place for life. */
const MACHINES = 8;
const idOf = (machine: number): string => `i-${machine.toString(16).padStart(17, '0')}`;
const zoneOf = (machine: number): string => `us-east-1${(['a', 'b', 'c'] as const)[Math.floor(machine / 2) % 3]}`;

const SETTINGS = { terminateWaitSeconds: 20 };
/** How long a launch that was handed out is nobody else's (identity.md section 5). */
const LEASE_MS = 300_000;
/** At the end of a run everybody calls for so long; what is younger than the patience may still be on its way. */
const END_SECONDS = 10_800;
const PATIENCE_MS = 20 * 60_000;

const ENDINGS = ['classic', 'classic', 'classic', 'lazy'] as const;

/** Which host calls: every second number means the primary of an agent, every fourth its replica, the rest any that ever registered. */
type Who = number;
/** Which replica is meant: two in three mean the live or newest one of an agent, the rest any. */
type Which = number;
/** Which machine is named: null is the one that the last fetched order launched, the former one was the primary until the last switch. */
type Machine = number | null | 'former';
type Lost = 'nothing' | 'answer' | 'connection';

const ROUTES = [
	'imminent',
	'replica for a termination',
	'replica for a rebalance',
	'rebalance',
	'rebalance, repeating',
	'rebalance, immediate',
	'rebalance of v6',
	'termination of v6',
] as const;
const STATES = ['launching', 'syncing', 'ready', 'promoted', 'terminated', 'failed'] as const;

/** What somebody does, and through which daemon. */
type Step = { on: number } & (
	| { do: 'register'; machine: number; logical: boolean; saysMode: boolean }
	/** The machine of an order that was fetched comes; 0 is the newest. */
	| { do: 'arrive'; order: number; logical: boolean; saysMode: boolean }
	| { do: 'heartbeat'; host: Who; status: 'online' | 'offline' }
	| { do: 'config' | 'ended'; host: Who }
	| { do: 'settings'; agent: number; change: 'manual' | 'auto' | 'terminate' | 'enabled'; value: boolean }
	| { do: 'fetch'; host: Who; lost: Lost }
	/** The newest order is carried out; the PUT may be lost, and the machine may come before it or after. */
	| { do: 'launch'; put: 'sent' | 'lost' | 'twice'; comes: 'before' | 'after' | 'never' }
	/** All of it: manual mode is on, the order fetched and carried out, the machine ready. */
	| { do: 'standby'; agent: number }
	/** A standby, the notice it is for, and the first call of the new primary. */
	| { do: 'failover'; agent: number }
	| { do: 'put'; host: Who; replica: Which; machine: Machine }
	| { do: 'post'; host: Who; machine: Machine | 'none' }
	| { do: 'status'; host: Who; replica: Which; status: (typeof STATES)[number] }
	| { do: 'sync'; host: Who; replica: Which; progress: number }
	| { do: 'delete'; host: Who; replica: Which }
	| { do: 'promote'; host: Who; replica: Which; demote: boolean }
	/** `at`: seconds from now, null where the signal names no time, 'again' for the time it named before. */
	| { do: 'notice'; host: Who; route: (typeof ROUTES)[number]; at: number | null | 'again' }
	/** A host asks what must end, and says what came of it. */
	| { do: 'endings' | 'terminations'; host: Who; result: 'nothing' | 'done' | 'failed' }
	| { do: 'terminated'; host: Who; machine: number; success: boolean }
	| { do: 'switch'; agent: number; target: 'a' | 'b' | 'c'; lost: Lost }
	| { do: 'report'; host: Who; machine: Machine; ended: boolean; success: boolean }
	| { do: 'uninstall' | 'hold' | 'release'; machine: number }
	| { do: 'remove' | 'restore'; agent: number }
	| { do: 'wait'; seconds: number }
	/** Time passes in which some hosts call: those whose bit is set. */
	| { do: 'calls'; seconds: number; hosts: number; how: 'classic' | 'lazy' | 'heartbeat' }
	| { do: 'restart'; how: 'stop' | 'kill' }
);

const who = fc.nat({ max: 47 });
const which = fc.nat({ max: 23 });
const agent = fc.nat({ max: 1 });
const machine = fc.nat({ max: MACHINES - 1 });
const named = fc.oneof(
	{ weight: 4, arbitrary: fc.nat({ max: MACHINES + 5 }) },
	{ weight: 3, arbitrary: fc.constant(null) },
	{ weight: 2, arbitrary: fc.constant('former' as const) },
);
const lost = fc.constantFrom<Lost>('nothing', 'nothing', 'nothing', 'answer', 'connection');
const yes = fc.boolean();
const mostly = fc.constantFrom(true, true, true, false);
const is = <const K extends Step['do']>(name: K) => fc.constant(name);

type Action = Step extends infer S ? (S extends Step ? Omit<S, 'on'> : never) : never;
const weighted: { arbitrary: fc.Arbitrary<Action>; weight: number }[] = [
	{ weight: 5, arbitrary: fc.record({ do: is('register'), machine, logical: mostly, saysMode: yes }) },
	{ weight: 7, arbitrary: fc.record({ do: is('arrive'), order: fc.constantFrom(0, 0, 1, 2), logical: mostly, saysMode: yes }) },
	{ weight: 6, arbitrary: fc.record({ do: is('heartbeat'), host: who, status: fc.constantFrom('online', 'online', 'offline') }) },
	{ weight: 1, arbitrary: fc.record({ do: is('config'), host: who }) },
	{ weight: 1, arbitrary: fc.record({ do: is('ended'), host: who }) },
	{
		weight: 6,
		arbitrary: fc.record({
			do: is('settings'),
			agent,
			change: fc.constantFrom('manual', 'manual', 'auto', 'terminate', 'enabled'),
			value: mostly,
		}),
	},
	{ weight: 10, arbitrary: fc.record({ do: is('fetch'), host: who, lost }) },
	{
		weight: 9,
		arbitrary: fc.record({
			do: is('launch'),
			put: fc.constantFrom('sent', 'sent', 'lost', 'twice'),
			comes: fc.constantFrom('before', 'after', 'never'),
		}),
	},
	{ weight: 6, arbitrary: fc.record({ do: is('standby'), agent }) },
	{ weight: 4, arbitrary: fc.record({ do: is('failover'), agent }) },
	{ weight: 7, arbitrary: fc.record({ do: is('put'), host: who, replica: which, machine: named }) },
	{ weight: 4, arbitrary: fc.record({ do: is('post'), host: who, machine: fc.oneof(named, fc.constant('none' as const)) }) },
	{ weight: 7, arbitrary: fc.record({ do: is('status'), host: who, replica: which, status: fc.constantFrom(...STATES) }) },
	{ weight: 2, arbitrary: fc.record({ do: is('sync'), host: who, replica: which, progress: fc.constantFrom(0, 50, 100) }) },
	{ weight: 3, arbitrary: fc.record({ do: is('delete'), host: who, replica: which }) },
	{ weight: 5, arbitrary: fc.record({ do: is('promote'), host: who, replica: which, demote: yes }) },
	{
		weight: 12,
		arbitrary: fc.record({
			do: is('notice'),
			host: who,
			route: fc.constantFrom(...ROUTES),
			at: fc.constantFrom(null, -30, 5, 120, 120, 'again' as const),
		}),
	},
	{
		weight: 5,
		arbitrary: fc.record({
			do: fc.constantFrom('endings', 'terminations'),
			host: who,
			result: fc.constantFrom('nothing', 'done', 'failed'),
		}),
	},
	{ weight: 3, arbitrary: fc.record({ do: is('terminated'), host: who, machine: fc.nat({ max: MACHINES + 5 }), success: mostly }) },
	{ weight: 3, arbitrary: fc.record({ do: is('switch'), agent, target: fc.constantFrom('a', 'b', 'c'), lost }) },
	{ weight: 4, arbitrary: fc.record({ do: is('report'), host: who, machine: named, ended: yes, success: mostly }) },
	{ weight: 2, arbitrary: fc.record({ do: fc.constantFrom('uninstall', 'hold', 'release'), machine: fc.nat({ max: MACHINES + 5 }) }) },
	{ weight: 1, arbitrary: fc.record({ do: is('remove'), agent }) },
	{ weight: 2, arbitrary: fc.record({ do: is('restore'), agent }) },
	{ weight: 5, arbitrary: fc.record({ do: is('wait'), seconds: fc.constantFrom(1, 3, 12, 48, 70, 130, 320, 700, 3600, 10_800) }) },
	{
		weight: 6,
		arbitrary: fc.record({
			do: is('calls'),
			seconds: fc.constantFrom(12, 48, 130, 320, 700, 2400, 7800),
			hosts: fc.nat({ max: 255 }),
			how: fc.constantFrom('classic', 'lazy', 'heartbeat'),
		}),
	},
	{ weight: 2, arbitrary: fc.record({ do: is('restart'), how: fc.constantFrom('stop', 'kill') }) },
];
/** What moves the world itself is not done beside something else. */
const MOVES = new Set<Step['do']>(['wait', 'calls', 'restart']);

/** Some steps at once, and whether the daemons hear of each other's changes before. */
type Turn = { steps: Step[]; heard: boolean };

const turnsOf = (daemons: number): fc.Arbitrary<Turn[]> => {
	const step = fc.tuple(fc.oneof(...weighted), fc.nat({ max: daemons - 1 })).map(([action, on]) => ({ ...action, on }) as Step);
	const turn = fc.oneof(
		{ weight: 7, arbitrary: fc.record({ steps: fc.tuple(step), heard: yes }) },
		{
			weight: 2,
			arbitrary: fc.record({ steps: fc.tuple(step, step).filter((pair) => pair.every((each) => !MOVES.has(each.do))), heard: yes }),
		},
	);
	return fc.array(turn as fc.Arbitrary<Turn>, { minLength: 1, maxLength: daemons > 1 ? 18 : 30, size: 'max' });
};

/** An order a host has fetched, and the machine it launches for it. */
type Order = {
	readonly replica: string | null;
	readonly by: string;
	readonly agent: string;
	readonly az: string;
	readonly mode: 'spot' | 'ondemand';
	readonly machine: string;
};

/** One run: what was asked and answered so far. */
const createRun = (world: World, client: ClientActor, daemons: number) => {
	const { read } = world.store;
	const watch = createCommandWatch(world);
	/** Calls and answers, for whoever reads of a failure. */
	const trace: string[] = [];
	const problems: string[] = [];
	const orders: Order[] = [];
	/** Until when each launch that was handed out belongs to whom got it, and which had a machine before this turn. */
	const served = new Map<string, number>();
	let attached = new Set<string>();
	/** When a notice named which time, by its kind. */
	const noticed = new Map<string, number>();
	/** Machines that ended: nothing calls from them any more by itself. */
	const dead = new Set<string>();
	let launched = MACHINES;
	/** Whether nothing else happens at the same time, and whether every daemon knows what happened. */
	let alone = true;
	let fresh = true;
	/** Whether what is asked all the time is asked now; the trace tells of it only where something comes of it. */
	let isRound = false;
	const start = world.now();

	const pick = <T>(list: readonly T[], index: number): T | undefined => list[index % Math.max(1, list.length)];

	const say = (line: string): void => {
		const short = line.replaceAll('00000000-0000-4000-8000-', '').replace(/(i-|\b)0{3,}/g, '$1');
		trace.push(`${((world.now() - start) / 1000).toFixed(0)}s ${short}`);
	};

	const call = async <const N extends Name>(on: number, name: N, input: Input<N>, ...allowed: number[]): Promise<Reply<N>> => {
		const daemon = world.daemons[on];
		if (daemon === undefined) throw new Error(`no daemon ${on}`);
		const reply = (await daemon.send(client.token, name, input, {})) as unknown as Reply<N>;
		const { status, body } = reply;
		const { replicas, instances } = body as { replicas?: unknown; instances?: unknown };
		const isIdle = name === 'heartbeat' || [replicas, instances].some((list) => Array.isArray(list) && list.length === 0);
		if (!isIdle || !isRound) say(`${daemons > 1 ? `@${on} ` : ''}${name} ${JSON.stringify(input)}: ${status} ${body.code ?? ''}`);
		if (!allowed.includes(status)) problems.push(`${name} was answered ${status} ${body.code ?? ''} ${body.error ?? ''}`);
		if (body.code === 'CONFLICT') problems.push(`${name} gave up`);
		return reply;
	};

	const rows = {
		agents: () => read.selectFrom('agent').selectAll().where('client_id', '=', client.id).orderBy('created_at').orderBy('id').execute(),
		host: (handle: string) => read.selectFrom('host').selectAll().where('handle', '=', handle).executeTakeFirst(),
		machine: (instanceId: string): Promise<Host | undefined> =>
			read.selectFrom('host').selectAll().where('client_id', '=', client.id).where('instance_id', '=', instanceId).executeTakeFirst(),
		replica: (id: string) => read.selectFrom('replica').selectAll().where('id', '=', id).executeTakeFirst(),
		replicas: (): Promise<Replica[]> => read.selectFrom('replica').selectAll().where('client_id', '=', client.id).orderBy('id').execute(),
	};
	const primaryOf = (agentId: string) => read.selectFrom('host').selectAll().where('primary_of', '=', agentId).executeTakeFirst();
	const handles = (): string[] => [...new Set(world.given.map(({ handle }) => handle))];
	const registered = (handle: string | null | undefined): string | undefined => handles().find((each) => each === handle);

	const hostAt = async (index: Who): Promise<string | undefined> => {
		const owner = pick(await rows.agents(), index >> 2);
		if (owner === undefined || index % 4 === 3) return pick(handles(), index >> 2);
		if (index % 2 === 0) return registered((await primaryOf(owner.id))?.handle);
		return registered((await rows.replicas()).find(({ live_of }) => live_of === owner.id)?.handle);
	};
	const replicaAt = async (index: Which): Promise<Replica | undefined> => {
		const all = await rows.replicas();
		if (index % 3 === 2) return pick(all, Math.floor(index / 3));
		const owner = pick(await rows.agents(), Math.floor(index / 3));
		const own = all.filter(({ agent_id }) => agent_id === owner?.id);
		return own.find(({ live_of }) => live_of !== null) ?? own.at(-1);
	};
	const machineAt = async (index: Machine): Promise<string | undefined> => {
		if (index === null) return orders.at(-1)?.machine;
		if (index !== 'former') return idOf(index);
		const switches = read.selectFrom('switch_record').select('old_instance_id').where('client_id', '=', client.id);
		return (await switches.orderBy('created_at', 'desc').orderBy('id', 'desc').executeTakeFirst())?.old_instance_id ?? undefined;
	};

	const register = async (
		on: number,
		instanceId: string,
		az: string,
		mode: 'spot' | 'ondemand' | undefined,
		logicalId: string | undefined,
	) => {
		const base = { instance_type: 'c5.large', region: 'us-east-1', agent_version: '4.0.0' };
		const reply = await call(on, 'registerHost', { ...base, instance_id: instanceId, az, mode, logical_agent_id: logicalId }, 200);
		if (reply.status !== 200) return undefined;
		const { agent_id, role, config } = reply.body;
		world.given.push({ client, instanceId, handle: agent_id });
		dead.delete(instanceId);
		if (config.enabled && role !== 'primary') problems.push('a standby is enabled');
		return agent_id;
	};

	const arrive = async (on: number, order: Order, logical: boolean, saysMode: boolean): Promise<string | undefined> => {
		const owner = (await rows.agents()).find(({ id }) => id === order.agent);
		const name = !logical || owner === undefined || owner.self_named === 1 ? undefined : owner.logical_agent_id;
		return register(on, order.machine, order.az, saysMode ? order.mode : undefined, name);
	};

	/** The launch orders a host fetches: each once under its lease, none that has a machine, and only for the primary. */
	const fetch = async (on: number, handle: string, how: Lost): Promise<Order | undefined> => {
		if (how === 'connection') {
			const core = world.daemons[on]?.core;
			const principal = (await core?.authenticate(client.token)) ?? null;
			say(`${handle} polls launch orders, and its connection closes`);
			const caller = { principal, requestId: 'lost', idempotencyKey: null, gone: () => true };
			await core?.handlers.listHostReplicas({ agent_id: handle, status: 'launching', include_terminated: false, limit: 1000 }, caller);
			return undefined;
		}
		const { body } = await call(on, 'listHostReplicas', { agent_id: handle, status: 'launching' }, 200);
		if ((body.replicas ?? []).length > 1) problems.push('a poll answered more than one launch order');
		for (const { id, az, mode } of body.replicas ?? []) {
			if (world.now() < (served.get(id) ?? 0)) problems.push(`launch ${id} was served twice under its lease`);
			served.set(id, world.now() + LEASE_MS);
			if (attached.has(id)) problems.push(`launch ${id} was served although it has a machine`);
			const host = await rows.host(handle);
			if (alone && host?.role !== 'primary') problems.push(`launch ${id} was served to a ${host?.role}`);
			if (how === 'answer') continue;
			const order = {
				replica: id,
				by: handle,
				agent: host?.agent_id ?? '',
				az: az ?? zoneOf(0),
				mode: mode === 'ondemand' ? mode : 'spot',
				machine: idOf(launched++),
			} as const;
			orders.push(order);
			return order;
		}
		return undefined;
	};

	/** Names a machine; one that loses must end, whatever it was before. */
	const put = async (on: number, handle: string, replicaId: string, instanceId: string): Promise<void> => {
		const input = { agent_id: handle, replica_id: replicaId, instance_id: instanceId, status: 'syncing' };
		const { status, body } = await call(on, 'attachReplica', input, 200, 404, 409);
		if (!alone) return;
		const [found, replica] = [await rows.machine(instanceId), await rows.replica(replicaId)];
		// One that had said that it goes offline is given up at once.
		const isTaken =
			found?.role === 'replica' || found?.role === 'primary' || replica?.status === 'promoted' || replica?.status === 'failed';
		if (status === 200 && !isTaken) problems.push(`${instanceId} was attached and is ${found?.role}`);
		if ((body.code === 'REPLICA_ENDED' || body.code === 'REPLICA_TAKEN') && !['ended', 'zombie', 'terminated'].includes(found?.role ?? ''))
			problems.push(`${instanceId} lost (${body.code}) and is ${found?.role}`);
	};

	/** A host carries out an order as classic does: the machine is launched, named, and its own agent comes up. */
	const carryOut = async (
		on: number,
		order: Order,
		sent: 'sent' | 'lost' | 'twice',
		comes: 'before' | 'after' | 'never',
	): Promise<void> => {
		if (comes === 'before') await arrive(on, order, true, true);
		for (let times = { sent: 1, lost: 0, twice: 2 }[sent]; times > 0 && order.replica !== null; times--)
			await put(on, order.by, order.replica, order.machine);
		if (comes === 'after') await arrive(on, order, true, true);
	};

	/** Manual mode is turned on, and what it orders is launched and comes up. */
	const standby = async (on: number, agentId: string, handle: string): Promise<void> => {
		await fetch(on, handle, 'answer');
		await call(on, 'changeConfig', { agent_id: agentId, manualReplicaEnabled: true }, 200, 404);
		const order = await fetch(on, handle, 'nothing');
		if (order !== undefined) await carryOut(on, order, 'sent', 'after');
	};

	/** Machines that a host is told to end: its own agent's, never the primary, and a standby reads at most of itself. */
	const mustEnd = async (handle: string, instanceIds: readonly string[], roles: readonly string[]): Promise<void> => {
		const own = await rows.host(handle);
		for (const instanceId of alone ? instanceIds : []) {
			const listed = await rows.machine(instanceId);
			const mayEnd = roles.includes(listed?.role ?? '') && listed?.hold === 0 && listed.agent_id === own?.agent_id;
			if (!mayEnd) problems.push(`${own?.instance_id} is told to end ${instanceId} (${listed?.role})`);
			if (own?.role !== 'primary' && instanceId !== own?.instance_id) problems.push(`a ${own?.role} is told to end ${instanceId}`);
		}
	};

	const endings = async (on: number, handle: string, result: 'nothing' | 'done' | 'failed'): Promise<void> => {
		const { body } = await call(on, 'listHostReplicas', { agent_id: handle, status: 'terminated' }, 200);
		const listed = body.replicas ?? [];
		await mustEnd(
			handle,
			listed.map(({ instance_id }) => instance_id),
			['ended'],
		);
		for (const { id, instance_id } of result === 'nothing' ? [] : listed) {
			if (result === 'done') {
				dead.add(instance_id);
				await call(on, 'replicaStatus', { agent_id: handle, replica_id: id, status: 'terminated' }, 200);
			} else await call(on, 'terminationReport', { agent_id: handle, instance_id, success: false, error: 'denied' }, 200, 404, 409);
		}
	};

	const terminations = async (on: number, handle: string, result: 'nothing' | 'done' | 'failed'): Promise<void> => {
		const { body } = await call(on, 'instancesToTerminate', { agent_id: handle }, 200);
		const listed = (body.instances ?? []).map(({ instance_id }) => instance_id);
		await mustEnd(handle, listed, ['zombie', 'ended']);
		for (const instance_id of result === 'nothing' ? [] : listed) {
			if (result === 'done') dead.add(instance_id);
			const input = { agent_id: handle, instance_id, success: result === 'done', terminated_at: iso(world.now()) };
			await call(on, 'terminationReport', input, 200, 404, 409);
		}
	};

	/** One round of an agent: classic does what it is told, a lazy one fetches orders and nothing comes of it. */
	const round = async (on: number, handle: string, how: 'classic' | 'lazy' | 'heartbeat'): Promise<void> => {
		isRound = true;
		await call(on, 'heartbeat', { agent_id: handle, status: 'online' }, 200, 404);
		const order = how === 'heartbeat' ? undefined : await fetch(on, handle, 'nothing');
		if (how === 'classic') {
			if (order !== undefined) await carryOut(on, order, 'sent', 'after');
			await endings(on, handle, 'done');
			await terminations(on, handle, 'done');
		}
		isRound = false;
	};

	/** Time passes in leaps, in which a daemon is known to have served: silence counts as if it had passed in small steps. */
	const pass = async (seconds: number, leap: number, between?: () => Promise<void>): Promise<void> => {
		for (let left = seconds; left > 0; left -= leap) {
			const ms = Math.min(left, leap) * 1000;
			await world.store.transact((tx) =>
				tx
					.updateTable('service_clock')
					.set({ alive_at: world.now() + ms })
					.execute(),
			);
			await world.advance(ms, ms);
			await between?.();
		}
	};

	const living = (): string[] => [...new Set(world.given.filter(({ instanceId }) => !dead.has(instanceId)).map(({ handle }) => handle))];

	const notice = async (on: number, handle: string, route: (typeof ROUTES)[number], at: number | null | 'again'): Promise<void> => {
		const kind = route.includes('termination') || route.includes('immediate') || route === 'imminent' ? 'termination' : 'rebalance';
		const when = at === 'again' ? (noticed.get(kind) ?? null) : at === null ? null : world.now() + at * 1000;
		if (when !== null) noticed.set(kind, when);
		const [time, host] = [when === null ? null : iso(when), await rows.host(handle)];
		const base = { agent_id: handle, instance_id: host?.instance_id ?? null };
		const send = (): Promise<{ status: number; body: { success: boolean; new_instance_id?: string | null } }> => {
			switch (route) {
				case 'imminent':
					return call(on, 'terminationImminent', { ...base, termination_time: time, detected_at: iso(world.now()) }, 200);
				case 'replica for a termination':
					return call(on, 'createEmergencyReplica', { ...base, signal_type: 'termination-notice', termination_time: time }, 200, 201);
				case 'replica for a rebalance':
					return call(on, 'createEmergencyReplica', { ...base, signal_type: 'rebalance-recommendation', notice_time: time }, 200, 201);
				case 'rebalance':
					return call(on, 'rebalanceRecommendation', { ...base, detected_at: iso(world.now()) }, 200);
				case 'rebalance, repeating':
					return call(on, 'rebalanceRecommendation', { ...base, notice_time: time }, 200);
				case 'rebalance, immediate':
					return call(on, 'rebalanceRecommendation', { ...base, immediate: true, notice_time: time }, 200);
				case 'rebalance of v6':
					return call(on, 'rebalanceNotice', { ...base, notice_time: time }, 200);
				case 'termination of v6':
					return call(on, 'terminationNotice', { ...base, termination_time: time }, 200);
			}
		};
		const isUrgent = kind === 'termination' && host?.role === 'primary' && (await hasReadyReplica(host.agent_id));
		const { body } = await send();
		const after = await rows.host(handle);
		if (!alone || after === undefined) return;
		if (isUrgent && after.role === 'primary') problems.push(`the notice of ${after.instance_id} left its ready replica where it is`);
		// On this answer the agent stops itself.
		if ((route !== 'imminent' && route !== 'rebalance, immediate') || !body.success) return;
		if (after.role === 'primary') problems.push(`${after.instance_id} may stop, and is the primary`);
		if ((await primaryOf(after.agent_id))?.instance_id !== body.new_instance_id)
			problems.push(`${body.new_instance_id} was named as the one that took over, and did not`);
	};

	/** Whether an agent has a replica that a notice promotes in the same round trip: ready, and heard within the last minute. */
	const hasReadyReplica = async (agentId: string): Promise<boolean> => {
		const found = await read
			.selectFrom('replica as r')
			.innerJoin('host as h', 'h.handle', 'r.handle')
			.innerJoin('host_liveness as l', 'l.handle', 'h.handle')
			.innerJoin('agent as a', 'a.id', 'r.live_of')
			.select('r.id')
			.where('r.live_of', '=', agentId)
			.where('r.status', '=', 'ready')
			.where('a.status', '<>', 'deleted')
			.where('h.registered_at', 'is not', null)
			.where('h.said_offline_at', 'is', null)
			.where('l.seen_at', '>=', world.now() - 60_000)
			.executeTakeFirst();
		return found !== undefined;
	};

	const settings = {
		manual: 'manualReplicaEnabled',
		auto: 'autoSwitchEnabled',
		terminate: 'autoTerminateEnabled',
		enabled: 'enabled',
	} as const;

	const take = async (step: Step): Promise<void> => {
		const { on } = step;
		switch (step.do) {
			case 'register': {
				const logicalId = step.logical ? `agent-${step.machine % 2}` : undefined;
				await register(on, idOf(step.machine), zoneOf(step.machine), step.saysMode ? 'spot' : undefined, logicalId);
				return;
			}
			case 'arrive': {
				const order = orders.at(-1 - step.order);
				if (order !== undefined) await arrive(on, order, step.logical, step.saysMode);
				return;
			}
			case 'settings': {
				const owner = pick(await rows.agents(), step.agent);
				if (owner !== undefined) await call(on, 'changeConfig', { agent_id: owner.id, [settings[step.change]]: step.value }, 200, 404);
				return;
			}
			case 'launch': {
				const order = orders.at(-1);
				if (order !== undefined) await carryOut(on, order, step.put, step.comes);
				return;
			}
			case 'standby':
			case 'failover': {
				const owner = pick(await rows.agents(), step.agent);
				const handle = owner === undefined ? undefined : registered((await primaryOf(owner.id))?.handle);
				if (owner === undefined || handle === undefined) return;
				await standby(on, owner.id, handle);
				if (step.do === 'standby') return;
				await notice(on, handle, 'imminent', 120);
				const next = registered((await primaryOf(owner.id))?.handle);
				if (next !== undefined) await call(on, 'heartbeat', { agent_id: next, status: 'online' }, 200, 404);
				return;
			}
			case 'switch': {
				const owner = pick(await rows.agents(), step.agent);
				const primary = owner === undefined ? undefined : await primaryOf(owner.id);
				const handle = registered(primary?.handle);
				if (primary === undefined || handle === undefined) return;
				await call(on, 'forceSwitch', { instance_id: primary.instance_id, target: 'pool', pool_id: pool(step.target) }, 200, 404, 409);
				if (step.lost === 'connection') return world.daemons[on]?.pollLost(client, handle);
				const { body } = await call(on, 'pendingCommands', { agent_id: handle }, 200);
				for (const { id } of body.commands ?? []) {
					problems.push(...watch.offer(id));
					if (step.lost === 'nothing')
						orders.push({
							replica: null,
							by: handle,
							agent: owner?.id ?? '',
							az: `us-east-1${step.target}`,
							mode: 'spot',
							machine: idOf(launched++),
						});
				}
				return;
			}
			case 'uninstall':
				await call(on, 'uninstallHost', { instance_id: idOf(step.machine) }, 200);
				return;
			case 'hold':
			case 'release':
				await call(on, 'holdInstance', { instance_id: idOf(step.machine), hold: step.do === 'hold' }, 200, 404, 409);
				return;
			case 'remove':
			case 'restore': {
				const owner = pick(await rows.agents(), step.agent);
				if (owner !== undefined)
					await call(on, step.do === 'remove' ? 'deleteAgent' : 'restoreAgent', { agent_id: owner.id }, 200, 404, 409);
				return;
			}
			case 'wait':
				if (step.seconds <= 48) return world.advance(step.seconds * 1000, 4000);
				return pass(step.seconds, Math.ceil(step.seconds / 24));
			case 'calls':
				return pass(step.seconds, step.seconds <= 130 ? 12 : step.seconds <= 700 ? 48 : 110, async () => {
					for (const [index, handle] of living().entries()) if ((step.hosts >> (index % 8)) % 2 === 1) await round(on, handle, step.how);
				});
			case 'restart':
				say(`daemon ${on} restarts (${step.how})`);
				return world.restart(on, step.how);
			default:
				return asHost(step, on, await hostAt(step.host));
		}
	};

	/** What the host that a step means does. */
	const asHost = async (step: Extract<Step, { host: Who }>, on: number, handle: string | undefined): Promise<void> => {
		if (handle === undefined) return;
		switch (step.do) {
			case 'heartbeat':
				await call(on, 'heartbeat', { agent_id: handle, status: step.status }, 200, 404);
				return;
			case 'config': {
				const { body } = await call(on, 'readConfig', { agent_id: handle }, 200);
				// Another daemon may lag by two seconds.
				if (body.enabled && alone && fresh && (await rows.host(handle))?.role !== 'primary') problems.push('a standby is enabled');
				return;
			}
			case 'ended':
				dead.add((await rows.host(handle))?.instance_id ?? '');
				await call(on, 'hostEnded', { agent_id: handle, reason: 'Unknown' }, 200);
				return;
			case 'fetch':
				await fetch(on, handle, step.lost);
				return;
			case 'post': {
				const instanceId = step.machine === 'none' ? null : await machineAt(step.machine);
				if (instanceId === undefined) return;
				await call(on, 'createReplica', { agent_id: handle, instance_id: instanceId }, 201, 400, 404, 409);
				return;
			}
			case 'notice':
				return notice(on, handle, step.route, step.at);
			case 'endings':
				return endings(on, handle, step.result);
			case 'terminations':
				return terminations(on, handle, step.result);
			case 'terminated':
				await call(on, 'terminationReport', { agent_id: handle, instance_id: idOf(step.machine), success: step.success }, 200, 404, 409);
				return;
			case 'report': {
				const newId = await machineAt(step.machine);
				if (newId === undefined) return;
				const timing = step.ended ? { old_instance_terminated_at: iso(world.now()) } : {};
				const machine = { instance_id: newId, instance_type: 'c5.large' };
				await call(on, 'switchReport', { agent_id: handle, new_instance: machine, success: step.success, timing }, 200);
				return;
			}
			default:
				return withReplica(step, on, handle, await replicaAt(step.replica));
		}
	};

	/** What a host says or asks about a replica. */
	const withReplica = async (
		step: Extract<Step, { host: Who; replica: Which }>,
		on: number,
		handle: string,
		replica: Replica | undefined,
	): Promise<void> => {
		if (replica === undefined) return;
		const ids = { agent_id: handle, replica_id: replica.id };
		switch (step.do) {
			case 'put': {
				const instanceId = await machineAt(step.machine);
				if (instanceId !== undefined) await put(on, handle, replica.id, instanceId);
				return;
			}
			case 'status':
				await call(on, 'replicaStatus', { ...ids, status: step.status }, 200, 404, 409);
				return;
			case 'sync':
				await call(on, 'replicaSync', { ...ids, state_transfer_progress: step.progress, sync_status: 'syncing' }, 200, 404, 409);
				return;
			case 'delete':
				await call(on, 'deleteReplica', ids, 200, 400, 404, 409);
				return;
			case 'promote': {
				const { status, body } = await call(on, 'promoteReplica', { ...ids, demote_old_primary: step.demote }, 200, 400, 404, 409);
				if (status !== 200 || !alone) return;
				const [now, old] = [await rows.machine(body.new_instance_id), await rows.machine(body.old_instance_id ?? '')];
				if (now?.role !== 'primary') problems.push(`${body.new_instance_id} was promoted and is ${now?.role}`);
				if (old?.role !== (step.demote ? 'replica' : 'zombie'))
					problems.push(`${body.old_instance_id} was the primary and is ${old?.role}`);
				return;
			}
		}
	};

	const check = async (on: number, after: string): Promise<void> => {
		const current = world.daemons[on];
		if (current !== undefined) problems.push(...(await brokenInvariants(world, current)), ...(await brokenStandbys(world, current, fresh)));
		problems.push(...(await watch.broken()));
		attached = new Set((await rows.replicas()).flatMap(({ id, handle }) => (handle === null ? [] : [id])));
		expect(problems, `after ${after}; all calls:\n${trace.join('\n')}\n`).toEqual([]);
	};

	return {
		take: async ({ steps, heard }: Turn): Promise<void> => {
			if (heard && daemons > 1) {
				// What one daemon changed the others know within a second.
				await world.advance(1000, 500);
				fresh = true;
			}
			// No host does two things in the same millisecond.
			await world.advance(1, 1);
			alone = steps.length === 1;
			await Promise.all(steps.map(take));
			fresh = daemons === 1;
			if (steps.some((step) => MOVES.has(step.do))) {
				await world.advance(1000, 500);
				fresh = true;
			}
			await check(steps[0]?.on ?? 0, JSON.stringify(steps));
		},
		finish: async (how: (typeof ENDINGS)[number]): Promise<void> => {
			alone = true;
			say(`everybody calls for 3 h (${how})`);
			const told = trace.length;
			let rounds = 0;
			const everybody = async (): Promise<void> => {
				for (const handle of living()) await round(rounds % daemons, handle, how);
				rounds++;
			};
			// Where nothing is left to happen nothing is waited for, but by a lazy host of the faster database.
			const patience = how === 'classic' ? 0 : PATIENCE_MS;
			for (let left = END_SECONDS; left > 0; left -= 1800) {
				await pass(Math.min(left, 1800), 100, everybody);
				if ((how === 'classic' || daemons > 1) && (await unsettled(world, patience, new Set())).length === 0) break;
			}
			fresh = true;
			trace.length = Math.min(trace.length, told + 60);
			const silent = new Set(handles().filter((handle) => !living().includes(handle)));
			problems.push(...(await unsettled(world, PATIENCE_MS, silent)));
			problems.push(...(await brokenPromises(world)));
			await check(0, 'the end');
		},
	};
};

describeEachDatabase('any order of what happens to standbys', ({ kind, freshUrl }) => {
	const daemons = kind === 'sqlite' ? 1 : 2;
	const world = shareWorld(freshUrl, { settings: SETTINGS, direct: true, daemons });

	describe(kind, () => {
		const runs = runsOf(kind === 'sqlite' ? 30 : 4);
		const limit = 60_000 + runs * 3000;
		it(
			`keeps one primary and one standby, ends every emergency and every machine that must end${daemons > 1 ? ', with two daemons' : ''}`,
			async () => {
				const property = fc.asyncProperty(turnsOf(daemons), fc.constantFrom(...ENDINGS), (turns, ending) =>
					withClient(world, async (client) => {
						const run = createRun(world, client, daemons);
						const first = { do: 'register', logical: true, saysMode: true, on: 0 } as const;
						await run.take({ steps: [{ ...first, machine: 0 }], heard: true });
						await run.take({ steps: [{ ...first, machine: 1 }], heard: true });
						for (const turn of turns) await run.take(turn);
						await run.finish(ending);
					}),
				);
				await fc.assert(property, { numRuns: runs, ...seeded(), ...inTime(limit - 10_000) });
			},
			limit,
		);
	});
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants, brokenPromises, brokenStandbys, createCommandWatch, inTime, runsOf, seeded } from '../helpers/invariants.ts';
import { withClient } from '../helpers/run-client.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import type { ClientActor, Target, World } from '../helpers/world.ts';

/** How many machines may come, of two agents in turn; each has its place for life. */
const MACHINES = 10;
const zoneOf = (machine: number): 'a' | 'b' | 'c' => (['a', 'b', 'c'] as const)[Math.floor(machine / 2) % 3] ?? 'a';
const modeOf = (machine: number): 'spot' | 'ondemand' => (machine >= 8 ? 'ondemand' : 'spot');
const idOf = (machine: number): string => `i-${machine.toString(16).padStart(17, '0')}`;

/** What somebody does. Numbers choose among what there is; where a host may be null it is the one that took the last order. */
type Step =
	| { do: 'register'; machine: number; logical: boolean; saysMode: boolean }
	| { do: 'heartbeat'; host: number; status: 'online' | 'disabled' | 'offline' }
	| { do: 'poll'; host: number; lost: 'nothing' | 'answer' | 'connection' }
	| { do: 'config' | 'terminations' | 'prices' | 'ended'; host: number }
	| { do: 'report'; host: number | null; machine: number; command: 'right' | 'wrong' | 'absent'; success: boolean; ended: boolean }
	| { do: 'ack'; host: number | null; command: number; success: boolean | null }
	| { do: 'force'; machine: number; target: Target; keeps: boolean }
	| { do: 'cancel'; command: number }
	| { do: 'toggle'; agent: number; enabled: boolean }
	| { do: 'remove' | 'restore'; agent: number }
	| { do: 'terminated'; host: number; machine: number; success: boolean }
	| { do: 'uninstall'; machine: number }
	/** What agents do when all is well: the primary is asked to switch and takes the order. */
	| { do: 'order'; agent: number; target: Target }
	/** A new machine comes where the last order leads. */
	| { do: 'arrive'; logical: boolean; saysMode: boolean }
	| { do: 'wait'; seconds: number }
	| { do: 'calls'; seconds: number }
	| { do: 'restart'; how: 'stop' | 'kill' }
	| { do: 'daemon'; index: number };

const some = fc.nat({ max: 30 });
const claimant = fc.option(some, { nil: null, freq: 2 });
const machine = fc.nat({ max: MACHINES - 1 });
const target = fc.constantFrom<Target>('a', 'b', 'c', 'ondemand');
const seconds = fc.constantFrom(1, 3, 12, 25, 70, 320, 660);
const is = <const K extends Step['do']>(name: K) => fc.constant(name);
const yes = fc.boolean();

const weighted: { arbitrary: fc.Arbitrary<Step>; weight: number }[] = [
	{ weight: 14, arbitrary: fc.record({ do: is('register'), machine, logical: fc.constantFrom(true, true, false), saysMode: yes }) },
	{
		weight: 6,
		arbitrary: fc.record({ do: is('heartbeat'), host: some, status: fc.constantFrom('online', 'online', 'disabled', 'offline') }),
	},
	{ weight: 10, arbitrary: fc.record({ do: is('poll'), host: some, lost: fc.constantFrom('nothing', 'nothing', 'answer', 'connection') }) },
	{ weight: 4, arbitrary: fc.record({ do: fc.constantFrom('config', 'terminations', 'prices'), host: some }) },
	{
		weight: 10,
		arbitrary: fc.record({
			do: is('report'),
			host: claimant,
			machine,
			command: fc.constantFrom('absent', 'absent', 'right', 'wrong'),
			success: fc.constantFrom(true, true, true, false),
			ended: yes,
		}),
	},
	{ weight: 7, arbitrary: fc.record({ do: is('ack'), host: claimant, command: some, success: fc.constantFrom(true, false, null) }) },
	{ weight: 5, arbitrary: fc.record({ do: is('force'), machine, target, keeps: yes }) },
	{ weight: 10, arbitrary: fc.record({ do: is('order'), agent: fc.nat({ max: 1 }), target }) },
	{ weight: 9, arbitrary: fc.record({ do: is('arrive'), logical: fc.constantFrom(true, true, false), saysMode: yes }) },
	{ weight: 3, arbitrary: fc.record({ do: is('cancel'), command: some }) },
	{ weight: 2, arbitrary: fc.record({ do: is('toggle'), agent: some, enabled: yes }) },
	{ weight: 1, arbitrary: fc.record({ do: is('remove'), agent: some }) },
	{ weight: 2, arbitrary: fc.record({ do: is('restore'), agent: some }) },
	{ weight: 4, arbitrary: fc.record({ do: is('terminated'), host: some, machine, success: fc.constantFrom(true, true, false) }) },
	{ weight: 1, arbitrary: fc.record({ do: is('ended'), host: some }) },
	{ weight: 1, arbitrary: fc.record({ do: is('uninstall'), machine }) },
	{ weight: 5, arbitrary: fc.record({ do: is('wait'), seconds }) },
	{ weight: 6, arbitrary: fc.record({ do: is('calls'), seconds: fc.constantFrom(12, 25, 45) }) },
	{ weight: 2, arbitrary: fc.record({ do: is('restart'), how: fc.constantFrom('stop', 'kill') }) },
];
const daemonStep: fc.Arbitrary<Step> = fc.record({ do: is('daemon'), index: fc.nat({ max: 1 }) });

/** Steps in a row, some of them two at once. */
const stepsOf = (daemons: number): fc.Arbitrary<Step[][]> => {
	const step = fc.oneof(...weighted, ...(daemons > 1 ? [{ weight: 10, arbitrary: daemonStep }] : []));
	const turn = fc.oneof(
		{ weight: 8, arbitrary: fc.tuple(step) },
		{ weight: 2, arbitrary: fc.tuple(step, step).filter((pair) => pair.every((each) => !MOVES.has(each.do))) },
	);
	return fc.array(turn as fc.Arbitrary<Step[]>, { minLength: 12, maxLength: 34, size: 'max' });
};
/** What changes the world itself is not done beside something else. */
const MOVES = new Set<Step['do']>(['wait', 'calls', 'restart', 'daemon']);

const SETTINGS = {
	heartbeatTimeoutMs: 20_000,
	leaseMs: 60_000,
	terminateWaitSeconds: 10,
	expireMs: { emergency: 30_000, manual: 45_000, model: 45_000, scheduled: 45_000 },
};
const STEP_MS = 4000;

/** One run: what was asked and answered so far. */
const createRun = (world: World, client: ClientActor, daemons: number) => {
	let daemon = 0;
	const watch = createCommandWatch(world);
	const commands: string[] = [];
	/** Whether nothing else happens at the same time. */
	let alone = true;
	let lastOrder: { handle: string; command: string; zone: string; mode: 'spot' | 'ondemand'; agent: number } | null = null;
	let arrived = MACHINES;
	const claimed = new Map<string, string>();
	const problems: string[] = [];

	const pick = <T>(list: readonly T[], index: number): T | undefined => list[index % Math.max(1, list.length)];
	const hostAt = (index: number | null) =>
		index === null ? world.given.find(({ handle }) => handle === lastOrder?.handle) : anyHost(index);
	const anyHost = (index: number) => pick([...new Map(world.given.map((given) => [given.handle, given])).values()], index);
	const agentIds = async (): Promise<string[]> =>
		(
			await world.store.read
				.selectFrom('agent')
				.select('id')
				.where('client_id', '=', client.id)
				.orderBy('created_at')
				.orderBy('id')
				.execute()
		).map(({ id }) => id);
	const lastSwitch = async (): Promise<number> => {
		const newest = world.store.read.selectFrom('agent').select(({ fn }) => fn.max('last_switch_at').as('at'));
		return Number((await newest.where('client_id', '=', client.id).executeTakeFirst())?.at ?? 0);
	};
	const primaryOf = (agentId: string) =>
		world.store.read.selectFrom('host').select(['handle', 'instance_id', 'role']).where('primary_of', '=', agentId).executeTakeFirst();

	const expectStatus = (what: string, reply: { status: number; body: { code?: string } }, ...allowed: number[]): void => {
		if (!allowed.includes(reply.status)) problems.push(`${what} was answered ${reply.status} ${reply.body.code ?? ''}`);
		if (reply.body.code === 'CONFLICT') problems.push(`${what} gave up`);
	};

	const pollAs = async (handle: string, lost: 'nothing' | 'answer' | 'connection'): Promise<void> => {
		if (lost === 'connection') {
			await world.daemons[daemon]?.pollLost(client, handle);
			return;
		}
		const reply = await client.poll(handle);
		expectStatus('a poll', reply, 200);
		for (const { id } of reply.body.commands ?? []) {
			problems.push(...watch.offer(id));
			const command = await world.store.read.selectFrom('command').selectAll().where('id', '=', id).executeTakeFirst();
			if (alone && (await row(handle))?.role !== 'primary') problems.push(`command ${id} was offered to a standby`);
			if (command?.handle !== handle) problems.push(`command ${id} was offered to another host`);
			if (lost === 'nothing') claimed.set(handle, id);
			if (command !== undefined) {
				const agents = await agentIds();
				const mode = command.target_mode ?? 'spot';
				const agent = agents.indexOf(command.agent_id);
				lastOrder = { handle, command: id, zone: command.target_az ?? 'us-east-1a', mode, agent };
			}
		}
		if ((reply.body.commands ?? []).length > 1) problems.push('a poll answered more than one command');
	};

	const row = (handle: string) => world.store.read.selectFrom('host').selectAll().where('handle', '=', handle).executeTakeFirst();

	const configOf = async (handle: string): Promise<void> => {
		const reply = await client.config(handle);
		expectStatus('config', reply, 200);
		// Another daemon may lag by two seconds.
		if (reply.body.enabled && alone && daemons === 1 && (await row(handle))?.role !== 'primary') problems.push('a standby is enabled');
	};

	/** A change of role shows in terminate lists at once, on every daemon. */
	const terminationsOf = async (handle: string): Promise<void> => {
		const reply = await client.terminations(handle);
		expectStatus('terminations', reply, 200);
		const own = await row(handle);
		for (const { instance_id } of alone ? reply.body.instances : []) {
			const listed = await world.store.read
				.selectFrom('host')
				.selectAll()
				.where('client_id', '=', client.id)
				.where('instance_id', '=', instance_id)
				.executeTakeFirst();
			const mayEnd = listed?.role === 'zombie' && listed.hold === 0 && listed.agent_id === own?.agent_id;
			if (!mayEnd) problems.push(`${own?.instance_id} is told to end ${instance_id} (${listed?.role})`);
			if (own?.role !== 'primary' && instance_id !== own?.instance_id) problems.push(`a ${own?.role} is told to end ${instance_id}`);
		}
	};

	const force = async (instanceId: string, to: Target, keeps: boolean): Promise<void> => {
		const reply = await client.force(instanceId, to, keeps ? { auto_terminate: false } : {});
		expectStatus('a forced switch', reply, 200, 404, 409);
		if (reply.status === 200) commands.push(String(reply.body.command_id));
	};

	const run = async (step: Step): Promise<void> => {
		switch (step.do) {
			case 'register': {
				const mode = modeOf(step.machine);
				const reply = await client.register(idOf(step.machine), {
					az: `us-east-1${zoneOf(step.machine)}`,
					mode: step.saysMode ? mode : undefined,
					logical_agent_id: step.logical ? `agent-${step.machine % 2}` : undefined,
				});
				expectStatus('a registration', reply, 200);
				if (reply.body.config?.enabled && reply.body.role !== 'primary') problems.push('a standby is enabled');
				return;
			}
			case 'heartbeat': {
				const host = hostAt(step.host);
				if (host) expectStatus('a heartbeat', await client.heartbeat(host.handle, { status: step.status }), 200, 404);
				return;
			}
			case 'poll': {
				const host = hostAt(step.host);
				if (host) await pollAs(host.handle, step.lost);
				return;
			}
			case 'config':
			case 'terminations':
			case 'prices':
			case 'ended': {
				const host = hostAt(step.host);
				if (!host) return;
				if (step.do === 'config') await configOf(host.handle);
				if (step.do === 'prices') expectStatus('prices', await client.prices(host.handle, { 'us-east-1a': 0.03 }), 200);
				if (step.do === 'ended') expectStatus('termination', await client.call('hostEnded', { agent_id: host.handle }), 200);
				if (step.do === 'terminations') await terminationsOf(host.handle);
				return;
			}
			case 'report': {
				const host = hostAt(step.host);
				if (!host) return;
				const right = claimed.get(host.handle);
				const command = step.command === 'absent' ? null : step.command === 'right' ? right : 'nobody-s';
				const timing = step.ended ? { old_instance_terminated_at: new Date(world.now()).toISOString() } : {};
				const sent = { command_id: command ?? null, success: step.success, timing };
				expectStatus('a switch report', await client.report(host.handle, idOf(step.machine), sent), 200);
				return;
			}
			case 'ack': {
				const [host, command] = [hostAt(step.host), step.host === null ? lastOrder?.command : pick(commands, step.command)];
				if (!host || command === undefined) return;
				const reply =
					step.success === null ? await client.mark(host.handle, command) : await client.ack(host.handle, command, step.success);
				expectStatus('an acknowledgement', reply, 200, 404);
				return;
			}
			case 'arrive': {
				if (lastOrder === null) return;
				const reply = await client.register(idOf(arrived++), {
					az: lastOrder.zone,
					mode: step.saysMode ? lastOrder.mode : undefined,
					logical_agent_id: step.logical ? `agent-${lastOrder.agent % 2}` : undefined,
				});
				expectStatus('the registration of a new machine', reply, 200);
				return;
			}
			case 'force':
				return force(idOf(step.machine), step.target, step.keeps);
			case 'order': {
				const agentId = pick(await agentIds(), step.agent);
				const primary = agentId === undefined ? undefined : await primaryOf(agentId);
				if (primary === undefined) return;
				await force(primary.instance_id, step.target, false);
				await pollAs(primary.handle, 'nothing');
				return;
			}
			case 'cancel': {
				const command = pick(commands, step.command);
				if (command !== undefined) expectStatus('a cancellation', await client.cancel(command), 200, 404, 409);
				return;
			}
			case 'toggle':
			case 'remove':
			case 'restore': {
				const agentId = pick(await agentIds(), step.agent);
				if (agentId === undefined) return;
				const reply =
					step.do === 'toggle'
						? await client.toggle(agentId, step.enabled)
						: step.do === 'remove'
							? await client.remove(agentId)
							: await world.admin.restore(agentId);
				expectStatus(step.do, reply, 200, 404, 409);
				return;
			}
			case 'terminated': {
				const host = hostAt(step.host);
				if (host)
					expectStatus('a termination report', await client.terminated(host.handle, idOf(step.machine), step.success), 200, 404, 409);
				return;
			}
			case 'uninstall':
				expectStatus('an uninstall', await client.call('uninstallHost', { instance_id: idOf(step.machine) }), 200);
				return;
			case 'wait':
				return world.advance(step.seconds * 1000, STEP_MS);
			case 'calls':
				// Every second host goes on calling while time passes.
				for (let left = step.seconds; left > 0; left -= 12) {
					await world.advance(Math.min(left, 12) * 1000, STEP_MS);
					for (const [index, { handle }] of world.given.entries()) if (index % 2 === 0) await client.heartbeat(handle);
				}
				return;
			case 'restart':
				return world.restart(daemon, step.how);
			case 'daemon':
				daemon = step.index % daemons;
				world.use(daemon);
				// What one daemon changed the others know within two seconds.
				return world.advance(1000, 500);
		}
	};

	return {
		take: async (turn: readonly Step[]): Promise<void> => {
			alone = turn.length === 1;
			await Promise.all(turn.map(run));
			const current = world.daemons[daemon];
			if (current !== undefined) problems.push(...(await brokenInvariants(world, current)), ...(await brokenStandbys(world, current)));
			problems.push(...(await watch.broken()));
			expect(problems, `after ${JSON.stringify(turn)}`).toEqual([]);
		},
		finish: async (): Promise<void> => {
			do await world.advance(2000, 500);
			while (
				// A sweep may have moved a role in the last step: the daemons have two seconds to know it.
				(await lastSwitch()) >
				world.now() - 2000
			);
			expect(await brokenPromises(world)).toEqual([]);
		},
	};
};

describeEachDatabase('any order of calls', ({ kind, freshUrl }) => {
	const daemons = kind === 'sqlite' ? 1 : 2;
	const world = shareWorld(freshUrl, { settings: SETTINGS, direct: true, daemons });

	describe(kind, () => {
		const runs = runsOf(kind === 'sqlite' ? 60 : 6);
		const limit = 60_000 + runs * 2000;
		it(
			`keeps what identity.md section 8 promises, with restarts, lost answers${daemons > 1 ? ' and two daemons' : ''}`,
			async () => {
				const property = fc.asyncProperty(stepsOf(daemons), (turns) =>
					withClient(world, async (client) => {
						world.use(0);
						const run = createRun(world, client, daemons);
						await run.take([
							{ do: 'register', machine: 0, logical: true, saysMode: true },
							{ do: 'register', machine: 1, logical: true, saysMode: true },
						]);
						for (const turn of turns) await run.take(turn);
						await run.finish();
					}),
				);
				await fc.assert(property, { numRuns: runs, ...seeded(), ...inTime(limit - 10_000) });
			},
			limit,
		);
	});
});

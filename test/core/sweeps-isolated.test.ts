import { sql } from 'kysely';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { alone } from '../../src/core/alone.ts';
import { type JobContext, LeaseLost } from '../../src/core/lease.ts';
import { type DatabaseKind, describeEachDatabase } from '../helpers/databases.ts';
import { asAdmin, openWorld, type World } from '../helpers/world.ts';
import { type AgentScene, heartbeatsFor, joinAgent, makeAgent, newMachine, rowsOf } from './agent-scene.ts';
import { orderedReplica, put, replicasOf } from './replica-scene.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** From now on every transaction that changes the agent, or tells of it, fails: as a row that the program cannot read does. */
const poison = async (world: World, kind: DatabaseKind, { id }: AgentScene): Promise<void> => {
	for (const [table, when, column] of [
		['event', 'before insert on event', 'new.agent_id'],
		['agent', 'before update on agent', 'old.id'],
	] as const) {
		const text =
			kind === 'sqlite'
				? `create trigger poison_${table} ${when} when ${column} = '${id}' begin select raise(abort, 'poisoned'); end`
				: `create trigger poison_${table} ${when} for each row if ${column} = '${id}' then signal sqlstate '45000' set message_text = 'poisoned'; end if`;
		await sql.raw(text).execute(world.store.ddl);
	}
};

/** What became of the last run of a job. */
const jobOf = async ({ daemons: [daemon] }: World, name: string) =>
	daemon === undefined ? undefined : (await asAdmin(daemon, 'listJobs', {})).items.find((job) => job.name === name);

describeEachDatabase('an agent that cannot be decided', ({ kind, freshUrl }) => {
	let world: World;
	afterEach(() => world.close());

	/** Two agents, of which the first comes first in every sweep, and whatever `prepare` does to each. */
	const twoAgents = async (prepare: (agent: AgentScene) => Promise<unknown> = async () => undefined) => {
		world = await openWorld(await freshUrl());
		const stuck = await makeAgent(world);
		await prepare(stuck);
		await world.advance(1000);
		const other = await makeAgent(world);
		await prepare(other);
		return { stuck, other, rows: rowsOf(world) };
	};

	it('keeps no other from going offline', async () => {
		const { stuck, other, rows } = await twoAgents();
		await poison(world, kind, stuck);
		await world.advance(3 * MINUTE, 2000);
		expect([(await rows.agent(stuck.id)).status, (await rows.agent(other.id)).status]).toEqual(['online', 'offline']);
	});

	it('keeps no command of another from its end', async () => {
		const { stuck, other } = await twoAgents((agent) => agent.client.force(agent.instanceId, 'b'));
		await poison(world, kind, stuck);
		await world.advance(31 * MINUTE, 10_000);
		const commands = await world.store.read.selectFrom('command').select(['agent_id', 'status']).orderBy('id').execute();
		expect(commands).toEqual([
			{ agent_id: stuck.id, status: 'pending' },
			{ agent_id: other.id, status: 'expired' },
		]);
	});

	it('keeps nobody from hearing of another’s machine that does not end', async () => {
		const { stuck, other, rows } = await twoAgents((agent) => joinAgent(agent));
		await poison(world, kind, stuck);
		await world.advance(HOUR + 2 * MINUTE, MINUTE);
		expect(await rows.events(stuck.id)).not.toContain('machine_endless');
		expect(await rows.events(other.id)).toContain('machine_endless');
	});

	it('keeps no emergency of another from being looked at', async () => {
		const { stuck, other, rows } = await twoAgents((agent) => agent.client.call('rebalanceRecommendation', { agent_id: agent.id }));
		await world.store.transact(async (tx) => {
			await tx.updateTable('agent').set({ attention_at: null }).execute();
		});
		await poison(world, kind, stuck);
		await world.advance(2 * MINUTE, 2000);
		expect((await rows.agent(stuck.id)).attention_at).toBeNull();
		expect((await rows.agent(other.id)).attention_at).not.toBeNull();
	});

	it('with 200 machines that do not end is left for the next run, instead of being tried for ever', async () => {
		world = await openWorld(await freshUrl(), { direct: true });
		const stuck = await makeAgent(world);
		for (let count = 0; count < 200; count++) await joinAgent(stuck);
		await poison(world, kind, stuck);
		await world.advance(HOUR + 2 * MINUTE, MINUTE);
		expect(await jobOf(world, 'terminations')).toMatchObject({ last_result: 'ok', last_changed: 0 });
	});
});

describeEachDatabase('the look for what nothing is due for', ({ freshUrl }) => {
	let world: World;
	beforeEach(async () => {
		world = await openWorld(await freshUrl());
	});
	afterEach(() => world.close());

	const changedByLook = async () => (await jobOf(world, 'emergencies'))?.last_changed;
	const forget = (agent: AgentScene): Promise<void> =>
		world.store.transact(async (tx) => {
			await tx.updateTable('agent').set({ attention_at: null }).where('id', '=', agent.id).execute();
		});

	it('does not take a launch order that waits for a poll for forgotten', async () => {
		const { agent } = await orderedReplica(world);
		await heartbeatsFor(world, 10 * MINUTE, agent.client, [agent.id]);
		const [waiting] = await replicasOf(world, agent.id);
		expect([waiting?.status, (await rowsOf(world).agent(agent.id)).attention_at]).toEqual(['launching', null]);
		expect(await changedByLook()).toBe(0);
	});

	it('finds an emergency, and a replica that never becomes ready', async () => {
		const signalled = await makeAgent(world);
		await signalled.client.call('rebalanceRecommendation', { agent_id: signalled.id });
		const { agent, order } = await orderedReplica(world);
		await put(agent, agent.id, order.id, newMachine());
		await forget(signalled);
		await forget(agent);
		await world.advance(MINUTE, 2000);
		expect(await changedByLook()).toBe(2);
		const due = await Promise.all([signalled, agent].map(async ({ id }) => (await rowsOf(world).agent(id)).attention_at));
		expect(due).not.toContain(null);
	});
});

const contextWith = (ping: () => Promise<void>, logged: object[] = [], writes: 'ok' | 'locked' = 'ok') => {
	const context: Pick<JobContext, 'store' | 'log'> = {
		store: { ping, writes: () => writes } as JobContext['store'],
		log: { info: () => undefined, warn: () => undefined, error: (fields) => void logged.push(fields) },
	};
	return context;
};
const fails = (error: Error) => () => Promise.reject(error);

it('trouble with one agent is logged with its id, and the next is worked on', async () => {
	const logged: object[] = [];
	const trouble = new Error('poisoned');
	expect(
		await alone(
			contextWith(async () => undefined, logged),
			'a',
			fails(trouble),
		),
	).toBeNull();
	expect(logged).toEqual([{ agent_id: 'a', err: trouble }]);
});

it('a database that does not answer fails the run, whichever agent it was met with', async () => {
	const away = new Error('the database does not answer');
	await expect(alone(contextWith(fails(away)), 'a', fails(new Error('connection lost')))).rejects.toBe(away);
});

it('a database that another process has locked fails the run, and is the trouble of no agent', async () => {
	const logged: object[] = [];
	const locked = contextWith(async () => undefined, logged, 'locked');
	await expect(alone(locked, 'a', fails(new Error('503')))).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
	expect(logged).toEqual([]);
});

it('a lost lease ends the run', async () => {
	const lost = new LeaseLost('the lease is lost');
	await expect(
		alone(
			contextWith(async () => undefined),
			'a',
			fails(lost),
		),
	).rejects.toBe(lost);
});

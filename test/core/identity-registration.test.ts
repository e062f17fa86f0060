import { describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants } from '../helpers/invariants.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { heartbeatsFor, joinAgent, makeAgent, newMachine, orderSwitch, rolesOf, rowsOf, TIMEOUT } from './agent-scene.ts';

describeEachDatabase('registration', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants] });
	const rows = rowsOf(world);

	describe('what a machine must say of itself (endpoints.md #40)', () => {
		const facts = { instance_type: 'c5.large', region: 'us-east-1', az: 'us-east-1a' };
		const post = async (machine: object) => {
			const client = await world.client();
			return client.call('registerHost', { logical_agent_id: 'box', instance_id: newMachine(), ...machine } as never);
		};

		it.each(['instance_type', 'region', 'az'] as const)('a body without %s is refused, and names it', async (key) => {
			const { status, body } = await post({ ...facts, [key]: undefined });
			expect([status, body.code, body.error]).toEqual([400, 'VALIDATION_ERROR', `${key}: is required`]);
		});

		it('a body with none of them names them all', async () => {
			const { status, body } = await post({});
			expect([status, Object.keys((body as unknown as { details: object }).details).sort()]).toEqual([
				400,
				['az', 'instance_type', 'region'],
			]);
		});

		it.each([
			['null', { instance_type: null, region: null, az: null }],
			["'unknown'", { instance_type: 'unknown', region: 'unknown', az: 'unknown' }],
			["''", { instance_type: '', region: '', az: '' }],
		])('%s is an answer of an agent without metadata, and is not known', async (_, said) => {
			const { status, body } = await post(said);
			expect([status, body.role]).toEqual([200, 'primary']);
			expect(await rows.host(body.agent_id)).toMatchObject({ instance_type: null, region: null, az: null, pool_id: null });
		});

		it('the zone may be called availability_zone', async () => {
			const { status, body } = await post({ instance_type: 'c5.large', region: 'us-east-1', availability_zone: 'us-east-1c' });
			expect([status, (await rows.host(body.agent_id)).az]).toEqual([200, 'us-east-1c']);
		});

		it.each(['i-a/b', 'i-a b', "i-a'b", 'i-a?b', 'i-a#b', 'i-%2e', '../i-a', '-i', '.', 'i-ä', 'i-🙂', 'i-a;b', 'unknown', ''])(
			'%j is no instance id',
			async (instanceId) => {
				const { status, body } = await post({ ...facts, instance_id: instanceId });
				expect([status, body.code]).toEqual([400, 'VALIDATION_ERROR']);
				expect(body.error).toMatch(/^instance_id: /);
			},
		);

		it.each(['i-0abc1234def567890', 'i-1a2b3c4d', 'mi-0123456789abcdef0', 'box_1.example'])('%s is one', async (instanceId) => {
			expect((await post({ ...facts, instance_id: instanceId })).status).toBe(200);
		});
	});

	describe('R1: a machine that is known', () => {
		it('keeps its handle and role, and its facts are refreshed', async () => {
			const agent = await makeAgent(world);
			const { status, body } = await agent.client.register(agent.instanceId, {
				logical_agent_id: agent.logicalId,
				hostname: 'renamed',
				agent_version: '4.1.0',
				public_ip: '',
			});
			expect(status).toBe(200);
			expect(body).toMatchObject({
				agent_id: agent.id,
				public_agent_id: agent.id,
				role: 'primary',
				generation: 1,
				client_id: agent.client.id,
			});
			expect(body.config.enabled).toBe(true);
			expect(body.message).toBeUndefined();
			expect(await rows.host(agent.id)).toMatchObject({ hostname: 'renamed', agent_version: '4.1.0', pool_id: 'c5.large.us-east-1a' });
		});

		it('keeps what it does not say this time', async () => {
			const agent = await makeAgent(world);
			await agent.client.register(agent.instanceId, { logical_agent_id: agent.logicalId, az: null, mode: null, instance_type: 'unknown' });
			expect(await rows.host(agent.id)).toMatchObject({
				az: 'us-east-1a',
				mode: 'spot',
				instance_type: 'c5.large',
				pool_id: 'c5.large.us-east-1a',
			});
		});

		it('adds an unknown logical id as an alias of its agent', async () => {
			const agent = await makeAgent(world);
			const alias = `${agent.logicalId}-new`;
			const again = await agent.client.register(agent.instanceId, { logical_agent_id: alias });
			expect(again.body).toMatchObject({ agent_id: agent.id, role: 'primary' });
			const other = await agent.client.register(newMachine(), { logical_agent_id: alias });
			expect(other.body).toMatchObject({ public_agent_id: agent.id, role: 'candidate' });
			expect((await agent.client.agent(agent.id)).body.logicalIds).toEqual([agent.logicalId, alias].sort());
		});

		it('stays where it is when it comes with the logical id of another agent, and an event tells', async () => {
			const agent = await makeAgent(world);
			const other = await makeAgent(world, agent.client);
			const { body } = await agent.client.register(agent.instanceId, { logical_agent_id: other.logicalId });
			expect(body).toMatchObject({ agent_id: agent.id, public_agent_id: agent.id, role: 'primary' });
			expect(await rows.events(agent.id)).toContain('logical_id_clash');
		});

		it('is a zombie when it had been terminated: it lives', async () => {
			const agent = await makeAgent(world);
			const standby = await joinAgent(agent);
			await agent.client.terminated(agent.id, standby.instanceId);
			expect(await rows.host(standby.handle)).toMatchObject({ role: 'terminated' });
			const { body } = await agent.client.register(standby.instanceId, { logical_agent_id: agent.logicalId });
			expect(body).toMatchObject({ agent_id: standby.handle, role: 'zombie' });
			expect(body.config.enabled).toBe(false);
			expect(await rows.host(standby.handle)).toMatchObject({ terminated_at: null, zombie_at: world.now() });
		});

		it('is a candidate when it had only been named', async () => {
			const agent = await makeAgent(world);
			const standby = await joinAgent(agent);
			const named = newMachine();
			await agent.client.report(standby.handle, named);
			expect((await rows.hostOfMachine(agent.client, named)).role).toBe('named');
			const { body } = await agent.client.register(named, { logical_agent_id: agent.logicalId });
			expect(body).toMatchObject({ role: 'candidate', agent_id: (await rows.hostOfMachine(agent.client, named)).handle });
		});

		it('may be two calls at once: one row, one handle', async () => {
			const client = await world.client();
			const instanceId = newMachine();
			const answers = await Promise.all(Array.from({ length: 6 }, () => client.register(instanceId, { logical_agent_id: 'twice' })));
			expect(new Set(answers.map(({ body }) => body.agent_id)).size).toBe(1);
			expect(new Set(answers.map(({ body }) => body.role))).toEqual(new Set(['primary']));
		});
	});

	describe('R2: the logical id of a deleted agent (D-18)', () => {
		it('is answered 200 with a handle of its own that is never enabled', async () => {
			const agent = await makeAgent(world);
			await agent.client.remove(agent.id);
			const standby = await joinAgent(agent);
			expect(standby.answer).toMatchObject({ role: 'candidate', public_agent_id: agent.id, config: { enabled: false } });
			expect(standby.handle).not.toBe(agent.id);
			expect(await rows.agent(agent.id)).toMatchObject({ status: 'deleted', enabled: 0, generation: 1 });
			expect(await rows.notifications(agent.id)).toHaveLength(2);
		});

		it('does not bring it back when its own machine comes, until an operator does', async () => {
			const agent = await makeAgent(world);
			await agent.client.remove(agent.id);
			const { status, body } = await agent.client.register(agent.instanceId, { logical_agent_id: agent.logicalId });
			expect(status).toBe(200);
			expect(body).toMatchObject({ agent_id: agent.id, config: { enabled: false } });
			expect((await world.admin.restore(agent.id)).status).toBe(200);
			expect((await agent.client.config(agent.id)).body.enabled).toBe(true);
		});
	});

	describe('R3: nothing fits', () => {
		it('makes a new agent whose id is the handle of its first machine', async () => {
			const agent = await makeAgent(world);
			const { body } = await agent.client.probe(agent.id);
			expect(body).toMatchObject({
				agent_id: agent.id,
				handle: agent.id,
				role: 'primary',
				enabled: true,
				generation: 1,
				agentStatus: 'online',
			});
			expect(await rows.events(agent.id)).toEqual(['agent_registered']);
			expect(await rows.notifications(agent.id)).toMatchObject([{ type: 'agent_registered' }]);
		});

		it('takes the machine for self-named when it brings no logical id', async () => {
			const client = await world.client();
			const instanceId = newMachine();
			const { body } = await client.register(instanceId);
			expect(await rows.agent(body.agent_id)).toMatchObject({ self_named: 1, logical_agent_id: instanceId });
		});

		it('of two machines that come at once one is the primary, the other R8 (D-06)', async () => {
			const client = await world.client();
			const answers = await Promise.all(Array.from({ length: 5 }, () => client.register(newMachine(), { logical_agent_id: 'at-once' })));
			expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
			expect(answers.map(({ body }) => body.role).sort()).toEqual(['candidate', 'candidate', 'candidate', 'candidate', 'primary']);
			expect(new Set(answers.map(({ body }) => body.public_agent_id)).size).toBe(1);
			expect(new Set(answers.map(({ body }) => body.agent_id)).size).toBe(5);
		});

		it('is refused by max_agents only where the agent would be new', async () => {
			const agent = await makeAgent(world);
			await world.admin.call('updateClient', { client_id: agent.client.id, max_agents: 1 });
			expect(await agent.client.register(newMachine(), { logical_agent_id: 'one-more' })).toMatchObject({ status: 403 });
			expect((await joinAgent(agent)).role).toBe('candidate');
			expect((await agent.client.register(agent.instanceId, { logical_agent_id: agent.logicalId })).status).toBe(200);
		});

		it('is refused by max_agents to an agent that comes back after another one has taken its place', async () => {
			const agent = await makeAgent(world);
			await world.admin.call('updateClient', { client_id: agent.client.id, max_agents: 1 });
			await agent.client.remove(agent.id);
			const other = await agent.client.register(newMachine(), { logical_agent_id: 'another' });
			expect(other.status).toBe(200);
			expect(await world.admin.restore(agent.id)).toMatchObject({ status: 403, body: { code: 'AGENT_LIMIT' } });
			expect((await rows.agent(agent.id)).status).toBe('deleted');
			await agent.client.remove(other.body.agent_id);
			expect((await world.admin.restore(agent.id)).status).toBe(200);
		});

		it.each(['max_agents', 'max_instances'])('is refused by %s also where many come at once', async (limit) => {
			const client = await world.client();
			await world.admin.call('updateClient', { client_id: client.id, [limit]: 2 } as never);
			const answers = await Promise.all(
				Array.from({ length: 8 }, (_, index) => client.register(newMachine(), { logical_agent_id: `crowd-${index}` })),
			);
			expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 403, 403, 403, 403, 403, 403]);
		});

		it.each(['max_agents', 'max_instances'])('is refused by %s to no machine of an agent that is known by then', async (limit) => {
			const client = await world.client();
			await world.admin.call('updateClient', { client_id: client.id, [limit]: 1 } as never);
			const fleet = Array.from({ length: 5 }, newMachine);
			const answers = await Promise.all(fleet.map((machine) => client.register(machine, { logical_agent_id: 'one' })));
			expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
			expect(answers.filter(({ body }) => body.role === 'primary').length).toBe(1);
		});

		it('is refused to no machine that asks again before it was answered', async () => {
			const client = await world.client();
			await world.admin.call('updateClient', { client_id: client.id, max_agents: 1, max_instances: 1 } as never);
			const machine = newMachine();
			const answers = await Promise.all([1, 2, 3].map(() => client.register(machine, { logical_agent_id: 'again' })));
			expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
			expect(new Set(answers.map(({ body }) => body.agent_id)).size).toBe(1);
		});
	});

	describe('R4: one open order fits', () => {
		it('promotes the machine at once and closes the command by evidence (D-05, D-06)', async () => {
			const agent = await makeAgent(world);
			const command = await orderSwitch(agent.client, agent.instanceId, agent.id);
			const next = await joinAgent(agent, 'b');
			expect(next.answer).toMatchObject({ role: 'primary', generation: 2, public_agent_id: agent.id, config: { enabled: true } });
			expect(next.handle).not.toBe(agent.id);
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'zombie', [next.instanceId]: 'primary' });
			expect((await agent.client.command(command)).body).toMatchObject({ outcome: 'registration', new_instance_id: next.instanceId });
			expect(await rows.host(next.handle)).toMatchObject({ guess_command_id: command, generation: 2 });
			expect(await rows.host(agent.id)).toMatchObject({ hold: 0, zombie_at: world.now() });
			expect((await agent.client.config(agent.id)).body.enabled).toBe(false);
			expect((await agent.client.poll(next.handle)).body.commands).toEqual([]);
			expect(await rows.switches(agent.id)).toMatchObject([{ evidence: 'registration', command_id: command, trigger_type: 'manual' }]);
		});

		it('also when the machine does not say its mode (v3.2), which is then that of the order', async () => {
			const agent = await makeAgent(world);
			await orderSwitch(agent.client, agent.instanceId, agent.id);
			const next = await joinAgent(agent, 'b', { mode: undefined });
			expect(next.role).toBe('primary');
			expect(await rows.host(next.handle)).toMatchObject({ mode: 'spot', pool_id: 'c5.large.us-east-1b' });
		});

		it('in any zone when the order is on-demand', async () => {
			const agent = await makeAgent(world);
			await orderSwitch(agent.client, agent.instanceId, agent.id, 'ondemand');
			const next = await joinAgent(agent, 'd', { mode: 'ondemand' });
			expect(next.role).toBe('primary');
			expect(await rows.host(next.handle)).toMatchObject({ mode: 'ondemand', pool_id: null });
		});

		it.each([
			['another zone', { az: 'us-east-1c' }],
			['another type', { instance_type: 'c5.xlarge' }],
			['another region', { region: 'us-west-2' }],
			['the other mode', { mode: 'ondemand' }],
		])('not for %s', async (_, machine) => {
			const agent = await makeAgent(world);
			await orderSwitch(agent.client, agent.instanceId, agent.id);
			expect((await joinAgent(agent, 'b', machine)).role).toBe('candidate');
			expect((await agent.client.config(agent.id)).body.enabled).toBe(true);
		});

		it('not before it is claimed: nobody can have launched for it', async () => {
			const agent = await makeAgent(world);
			await agent.client.force(agent.instanceId, 'b');
			expect((await joinAgent(agent, 'b')).role).toBe('candidate');
		});

		it('not after its lease', async () => {
			const agent = await makeAgent(world);
			await orderSwitch(agent.client, agent.instanceId, agent.id);
			await heartbeatsFor(world, 1_200_000, agent.client, [agent.id]);
			await world.advance(2000);
			expect((await joinAgent(agent, 'b')).role).toBe('candidate');
		});

		it('also for an order that was acknowledged before anybody named its machine', async () => {
			const agent = await makeAgent(world);
			const command = await orderSwitch(agent.client, agent.instanceId, agent.id);
			await agent.client.ack(agent.id, command);
			expect((await joinAgent(agent, 'b')).role).toBe('primary');
			expect((await agent.client.command(command)).body).toMatchObject({ outcome: 'registration' });
		});

		it('not for the order of another client, nor for that of another agent under its own logical id', async () => {
			const agent = await makeAgent(world);
			await orderSwitch(agent.client, agent.instanceId, agent.id);
			const stranger = await makeAgent(world);
			const sibling = await makeAgent(world, agent.client);
			expect((await joinAgent(stranger, 'b')).role).toBe('candidate');
			expect((await joinAgent(sibling, 'b')).role).toBe('candidate');
			expect((await joinAgent(agent, 'b')).role).toBe('primary');
		});

		it('takes a self-named machine into the agent that ordered it', async () => {
			const client = await world.client();
			const first = newMachine();
			const { body } = await client.register(first);
			await orderSwitch(client, first, body.agent_id);
			const second = newMachine();
			const next = await client.register(second, { az: 'us-east-1b' });
			expect(next.body).toMatchObject({ public_agent_id: body.agent_id, role: 'primary', generation: 2 });
			expect((await client.agent(body.agent_id)).body.logicalIds).toEqual([first, second].sort());
		});

		it('does not take a self-named machine into an agent with a logical id', async () => {
			const agent = await makeAgent(world);
			await orderSwitch(agent.client, agent.instanceId, agent.id);
			const { body } = await agent.client.register(newMachine(), { az: 'us-east-1b' });
			expect(body.agent_id).toBe(body.public_agent_id);
			expect(body.public_agent_id).not.toBe(agent.id);
		});

		it('lets only the first of two machines have it', async () => {
			const agent = await makeAgent(world);
			await orderSwitch(agent.client, agent.instanceId, agent.id);
			const both = await Promise.all([joinAgent(agent, 'b'), joinAgent(agent, 'b')]);
			expect(both.map(({ role }) => role).sort()).toEqual(['candidate', 'primary']);
		});
	});

	describe('R6: several orders fit', () => {
		/** An agent with an order that was cancelled after its claim, and another in the same pool. */
		const twoOrders = async () => {
			const agent = await makeAgent(world);
			const first = await orderSwitch(agent.client, agent.instanceId, agent.id);
			await agent.client.cancel(first);
			await world.advance(1000);
			const second = await orderSwitch(agent.client, agent.instanceId, agent.id);
			return { agent, first, second };
		};

		it('promotes nobody and remembers the oldest open one', async () => {
			const { agent, second } = await twoOrders();
			const next = await joinAgent(agent, 'b');
			expect(next.role).toBe('candidate');
			expect(await rows.host(next.handle)).toMatchObject({ tentative_command_id: second });
			expect(await rows.events(agent.id)).toContain('undecided_host');
			const another = await joinAgent(agent, 'b');
			expect(await rows.host(another.handle)).toMatchObject({ role: 'candidate', tentative_command_id: null });
		});

		it('is settled by the report', async () => {
			const { agent, second } = await twoOrders();
			const next = await joinAgent(agent, 'b');
			await agent.client.report(agent.id, next.instanceId);
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'zombie', [next.instanceId]: 'primary' });
			expect((await agent.client.command(second)).body).toMatchObject({ outcome: 'report', new_instance_id: next.instanceId });
		});

		it('is settled by silence, and the tentative order is then done', async () => {
			const { agent, second } = await twoOrders();
			const next = await joinAgent(agent, 'b');
			await heartbeatsFor(world, TIMEOUT + 20_000, agent.client, [next.handle]);
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'zombie', [next.instanceId]: 'primary' });
			expect(await rows.command(second)).toMatchObject({ status: 'completed', outcome: 'takeover', new_handle: next.handle });
			expect(await rows.host(agent.id)).toMatchObject({ hold: 0 });
		});

		it.each(['cancelled', 'failed', 'unconfirmed'])(
			'holds for one order that was %s: its machine may be the only one left',
			async (end) => {
				const agent = await makeAgent(world);
				const order = await orderSwitch(agent.client, agent.instanceId, agent.id);
				if (end === 'cancelled') await agent.client.cancel(order);
				if (end === 'failed') await agent.client.ack(agent.id, order, false);
				if (end === 'unconfirmed') {
					await agent.client.register(agent.instanceId, { logical_agent_id: agent.logicalId });
					await heartbeatsFor(world, 299_000, agent.client, [agent.id]);
				}
				const next = await joinAgent(agent, 'b');
				if (end === 'unconfirmed') expect(next.role).toBe('primary');
				else {
					expect(next.role).toBe('candidate');
					expect(await rows.events(agent.id)).toContain('undecided_host');
				}
			},
		);

		it('of self-named agents: each machine stands for an order of the agent it is put under', async () => {
			const client = await world.client();
			const agents = [];
			for (let n = 0; n < 2; n++) {
				const instanceId = newMachine();
				const { body } = await client.register(instanceId);
				agents.push({ id: body.agent_id, instanceId });
			}
			for (const { id, instanceId } of agents) {
				await orderSwitch(client, instanceId, id);
				await world.advance(1000);
			}
			for (let n = 0; n < 2; n++) {
				const { body } = await client.register(newMachine(), { az: 'us-east-1b' });
				expect(body).toMatchObject({ role: 'candidate', public_agent_id: agents[n]?.id });
				const tentative = (await rows.host(body.agent_id)).tentative_command_id;
				expect((await rows.command(String(tentative))).agent_id).toBe(agents[n]?.id);
			}
		});
	});

	describe('R7: one void order fits and the primary lives', () => {
		/** An agent whose claimed switch to zone b was overtaken: the primary says that it moved to zone c instead. */
		const overtaken = async () => {
			const agent = await makeAgent(world);
			const order = await orderSwitch(agent.client, agent.instanceId, agent.id);
			const next = await joinAgent(agent, 'c');
			await heartbeatsFor(world, TIMEOUT + 20_000, agent.client, [next.handle]);
			expect(await rows.command(order)).toMatchObject({ status: 'cancelled', outcome: 'superseded' });
			return { agent, next, order };
		};

		it('is a zombie from the start: an extra machine', async () => {
			const { agent, next } = await overtaken();
			const extra = await joinAgent(agent, 'b');
			expect(extra.role).toBe('zombie');
			expect(await rows.host(extra.handle)).toMatchObject({ zombie_at: world.now(), hold: 0 });
			expect(await rows.events(agent.id)).toContain('extra_machine');
			expect((await agent.client.config(next.handle)).body.enabled).toBe(true);
		});

		it('is so for one machine: an order launches no second', async () => {
			const { agent } = await overtaken();
			await joinAgent(agent, 'b');
			expect((await joinAgent(agent, 'b')).role).toBe('candidate');
		});

		it('takes over instead when the primary is silent', async () => {
			const { agent, next } = await overtaken();
			await world.advance(TIMEOUT + 10_000, 4000);
			const extra = await joinAgent(agent, 'b');
			expect(extra.role).toBe('primary');
			expect(await rows.host(next.handle)).toMatchObject({ role: 'zombie', hold: 1 });
		});

		it('is void too when it was acknowledged but another machine became the primary', async () => {
			const agent = await makeAgent(world);
			const order = await orderSwitch(agent.client, agent.instanceId, agent.id);
			await agent.client.ack(agent.id, order);
			const next = await joinAgent(agent, 'c');
			await heartbeatsFor(world, TIMEOUT + 20_000, agent.client, [next.handle]);
			expect((await rolesOf(world, agent.id))[next.instanceId]).toBe('primary');
			expect((await joinAgent(agent, 'b')).role).toBe('zombie');
			expect((await rolesOf(world, agent.id))[next.instanceId]).toBe('primary');
		});
	});

	describe('R8: anything else under a known logical id (D-06)', () => {
		it('is a candidate, with an event and a warning, and the primary stays', async () => {
			const agent = await makeAgent(world);
			const stranger = await joinAgent(agent);
			expect(stranger.answer).toMatchObject({ role: 'candidate', generation: 1, public_agent_id: agent.id, config: { enabled: false } });
			expect(stranger.answer.message).toMatch(/not the primary/);
			expect(await rows.events(agent.id)).toContain('unexpected_host');
			expect(await rows.notifications(agent.id)).toContainEqual(expect.objectContaining({ type: 'unexpected_host', severity: 'warning' }));
			expect((await agent.client.config(agent.id)).body.enabled).toBe(true);
		});

		it('takes over at once when the primary is silent (T3), which is then on hold', async () => {
			const agent = await makeAgent(world);
			await world.advance(TIMEOUT + 10_000, 4000);
			const next = await joinAgent(agent);
			expect(next.answer).toMatchObject({ role: 'primary', generation: 2, config: { enabled: true } });
			expect(await rows.host(agent.id)).toMatchObject({ role: 'zombie', hold: 1 });
			expect(await rows.switches(agent.id)).toMatchObject([{ evidence: 'takeover', command_id: null }]);
		});
	});

	it('is for client tokens only: an admin belongs to no client', async () => {
		expect(await world.admin.register(newMachine())).toMatchObject({ status: 403, body: { code: 'CLIENT_TOKEN_REQUIRED' } });
	});

	it('accepts what agents without metadata send (D-48)', async () => {
		const client = await world.client();
		const { status, body } = await client.call('registerHost', {
			instance_id: newMachine(),
			instance_type: 'unknown',
			region: null,
			mode: 'unknown',
			az: 'unknown',
			public_ip: null,
		});
		expect(status).toBe(200);
		expect(await rows.host(body.agent_id)).toMatchObject({ mode: null, az: null, pool_id: null });
	});
});

import { describe, expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants } from '../helpers/invariants.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { type AgentScene, heartbeatsFor, joinAgent, makeAgent, newMachine, orderSwitch, rolesOf, rowsOf, TIMEOUT } from './agent-scene.ts';

describeEachDatabase('roles', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { must: [brokenInvariants] });
	const rows = rowsOf(world);

	/** An agent whose switch to zone b was proved by the registration of a machine there. */
	const guessed = async () => {
		const agent = await makeAgent(world);
		const command = await orderSwitch(agent.client, agent.instanceId, agent.id);
		return { agent, command, next: await joinAgent(agent, 'b') };
	};

	/** Lets the primary fall silent while `standby` goes on calling: it takes over. */
	const silence = (agent: AgentScene, standby: string): Promise<void> => heartbeatsFor(world, TIMEOUT + 20_000, agent.client, [standby]);

	describe('T1: the registration was the evidence', () => {
		it('a later report only fills prices and times, in both vocabularies (D-03)', async () => {
			for (const body of [
				{
					prices: { on_demand: 0.085, old_spot: 0.04, new_spot: 0.03 },
					timing: { switch_initiated_at: '2021-03-04T00:00:01Z', new_instance_ready_at: '2021-03-04T00:00:31+00:00' },
				},
				{
					pricing: { on_demand: 0.085, old_spot: 0.04, new_spot: 0.03 },
					timing: { initiated_at: '2021-03-04T00:00:01', instance_ready_at: '2021-03-04T00:00:31Z' },
				},
			]) {
				const { agent, command, next } = await guessed();
				const { body: told } = await agent.client.report(agent.id, next.instanceId, body);
				expect(told).toMatchObject({ action: 'recorded', savings_impact: 0.01 });
				expect(await rows.switches(agent.id)).toMatchObject([
					{
						evidence: 'report',
						command_id: command,
						old_spot_micros: 40_000,
						new_spot_micros: 30_000,
						ondemand_micros: 85_000,
						initiated_at: Date.UTC(2021, 2, 4, 0, 0, 1),
						ready_at: Date.UTC(2021, 2, 4, 0, 0, 31),
						duration_ms: 30_000,
						trigger_type: 'manual',
					},
				]);
				expect(await rows.agent(agent.id)).toMatchObject({ generation: 2 });
				expect(await rows.command(command)).toMatchObject({ outcome: 'registration', reported_at: world.now() });
			}
		});

		it('times with any zone, or none, are UTC in the books; impossible ones are left out (D-33)', async () => {
			const { agent, next } = await guessed();
			await agent.client.report(agent.id, next.instanceId, {
				timing: {
					switch_initiated_at: '2021-03-04T02:00:01+02:00',
					new_instance_launched_at: '2021-03-03T19:00:11-05:00',
					new_instance_ready_at: '2021-03-04T00:00:31.123456',
					traffic_switched_at: '1970-01-01T00:00:00Z',
				},
			});
			expect(await rows.switches(agent.id)).toMatchObject([
				{
					initiated_at: Date.UTC(2021, 2, 4, 0, 0, 1),
					launched_at: Date.UTC(2021, 2, 4, 0, 0, 11),
					ready_at: Date.UTC(2021, 2, 4, 0, 0, 31, 123),
					traffic_at: null,
				},
			]);
		});

		it('a report that comes twice changes nothing and adds no second switch', async () => {
			const { agent, next } = await guessed();
			await agent.client.report(agent.id, next.instanceId);
			const again = await agent.client.report(agent.id, next.instanceId);
			expect(again.body).toMatchObject({ success: true, action: 'already_recorded' });
			expect(await rows.switches(agent.id)).toHaveLength(1);
		});

		it('a later acknowledgement changes nothing', async () => {
			const { agent, command, next } = await guessed();
			expect((await agent.client.ack(agent.id, command)).body).toMatchObject({ command_status: 'completed' });
			expect(await rows.host(next.handle)).toMatchObject({ role: 'primary', generation: 2 });
			expect(await rows.host(agent.id)).toMatchObject({ role: 'zombie', hold: 0, takes_back: 0 });
			expect(await rows.command(command)).toMatchObject({ outcome: 'registration' });
		});
	});

	describe('T2: the report of the host that claimed', () => {
		it('makes its new machine the primary before it has registered, and it keeps that', async () => {
			const agent = await makeAgent(world);
			const command = await orderSwitch(agent.client, agent.instanceId, agent.id);
			const machine = newMachine();
			const { body } = await agent.client.report(agent.id, machine, { prices: { on_demand: 0.085, old_spot: 0.05, new_spot: 0.03 } });
			expect(body).toMatchObject({ action: 'switched', savings_impact: 0.02 });
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'zombie', [machine]: 'primary' });
			expect(await rows.agent(agent.id)).toMatchObject({ status: 'switching', generation: 2 });
			expect(await rows.command(command)).toMatchObject({ status: 'completed', outcome: 'report', new_instance_id: machine });
			const { body: registered } = await agent.client.register(machine, { logical_agent_id: agent.logicalId, az: 'us-east-1b' });
			expect(registered).toMatchObject({ role: 'primary', generation: 2, config: { enabled: true } });
			expect(await rows.agent(agent.id)).toMatchObject({ status: 'online' });
		});

		it('corrects a guess: the wrong machine is a candidate', async () => {
			const { agent, command, next } = await guessed();
			const right = newMachine();
			const { body } = await agent.client.report(agent.id, right);
			expect(body).toMatchObject({ action: 'corrected' });
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'zombie', [next.instanceId]: 'candidate', [right]: 'primary' });
			expect((await agent.client.config(next.handle)).body.enabled).toBe(false);
			expect(await rows.command(command)).toMatchObject({ outcome: 'report', new_instance_id: right });
			expect(await rows.switches(agent.id)).toMatchObject([
				{ success: 0, command_id: null, new_instance_id: next.instanceId },
				{ success: 1, command_id: command, old_instance_id: agent.instanceId, new_instance_id: right },
			]);
			expect(await rows.agent(agent.id)).toMatchObject({ generation: 3 });
		});

		it('does not correct a guess when the primary has moved since: its machine is one too many', async () => {
			const { agent, next } = await guessed();
			await orderSwitch(agent.client, next.instanceId, next.handle, 'c');
			const third = await joinAgent(agent, 'c');
			const late = newMachine();
			expect((await agent.client.report(agent.id, late)).body).toMatchObject({ action: 'surplus' });
			expect(await rolesOf(world, agent.id)).toMatchObject({ [third.instanceId]: 'primary', [late]: 'zombie' });
		});

		it('of a void command: the machine is a zombie while the primary lives', async () => {
			const agent = await makeAgent(world);
			await orderSwitch(agent.client, agent.instanceId, agent.id);
			const next = await joinAgent(agent, 'c');
			await silence(agent, next.handle);
			const late = newMachine();
			expect((await agent.client.report(agent.id, late)).body).toMatchObject({ action: 'surplus' });
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'zombie', [next.instanceId]: 'primary', [late]: 'zombie' });
		});

		it('of a void command names its machine: the next that fits is not taken for it', async () => {
			const agent = await makeAgent(world);
			await orderSwitch(agent.client, agent.instanceId, agent.id);
			const next = await joinAgent(agent, 'c');
			await silence(agent, next.handle);
			await agent.client.report(agent.id, newMachine());
			expect((await joinAgent(agent, 'b')).role).toBe('candidate');
		});

		it('of a void command: the machine is a candidate when the primary is silent', async () => {
			const agent = await makeAgent(world);
			await orderSwitch(agent.client, agent.instanceId, agent.id);
			const next = await joinAgent(agent, 'c');
			await silence(agent, next.handle);
			await world.advance(TIMEOUT + 5000, 4000);
			const late = newMachine();
			expect((await agent.client.report(agent.id, late)).body).toMatchObject({ action: 'candidate' });
			const { body } = await agent.client.register(late, { logical_agent_id: agent.logicalId, az: 'us-east-1b' });
			expect(body).toMatchObject({ role: 'primary' });
			expect(await rows.host(next.handle)).toMatchObject({ role: 'zombie', hold: 1 });
		});

		it('does not let a machine take over that was not heard for long, just because a report names it', async () => {
			const agent = await makeAgent(world);
			await orderSwitch(agent.client, agent.instanceId, agent.id);
			const next = await joinAgent(agent, 'c');
			const quiet = await joinAgent(agent, 'd');
			await silence(agent, next.handle);
			await world.advance(TIMEOUT + 5000, 4000);
			await agent.client.report(agent.id, quiet.instanceId);
			expect(await rolesOf(world, agent.id)).toMatchObject({ [next.instanceId]: 'primary', [quiet.instanceId]: 'candidate' });
		});

		it('without any command is accepted from the primary', async () => {
			const agent = await makeAgent(world);
			const machine = newMachine();
			expect((await agent.client.report(agent.id, machine, { trigger: 'manual' })).body).toMatchObject({ action: 'switched' });
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'zombie', [machine]: 'primary' });
		});

		it('without any command moves no role for a standby: the machine is named', async () => {
			const agent = await makeAgent(world);
			const standby = await joinAgent(agent);
			const machine = newMachine();
			expect((await agent.client.report(standby.handle, machine)).body).toMatchObject({ action: 'named' });
			expect(await rolesOf(world, agent.id)).toEqual({
				[agent.instanceId]: 'primary',
				[standby.instanceId]: 'candidate',
				[machine]: 'named',
			});
		});

		it('without any command from a zombie makes the machine a zombie', async () => {
			const { agent, next } = await guessed();
			await agent.client.report(agent.id, next.instanceId);
			const zombie = agent.id;
			const other = await joinAgent(agent, 'd');
			await orderSwitch(agent.client, next.instanceId, next.handle, 'c');
			const third = await joinAgent(agent, 'c');
			await agent.client.report(other.handle, newMachine());
			const extra = newMachine();
			await agent.client.report(third.handle, extra);
			const named = newMachine();
			await agent.client.report(zombie, named);
			expect(await rolesOf(world, agent.id)).toMatchObject({ [extra]: 'primary', [named]: 'zombie', [other.instanceId]: 'candidate' });
		});

		it('says where the old machine is: ended when it has a time of its end, in both vocabularies', async () => {
			for (const timing of [{ old_instance_terminated_at: '2021-03-04T00:10:00Z' }, { old_terminated_at: '2021-03-04T00:10:00Z' }]) {
				const agent = await makeAgent(world);
				await orderSwitch(agent.client, agent.instanceId, agent.id);
				const machine = newMachine();
				await agent.client.report(agent.id, machine, { timing });
				expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'terminated', [machine]: 'primary' });
			}
		});

		it('that failed ends the command and moves nothing', async () => {
			const agent = await makeAgent(world);
			const command = await orderSwitch(agent.client, agent.instanceId, agent.id);
			const { status, body } = await agent.client.call('switchReport', {
				agent_id: agent.id,
				success: false,
				error_message: 'no capacity',
			});
			expect([status, body.action]).toEqual([200, 'failed']);
			expect(await rows.command(command)).toMatchObject({ status: 'failed', outcome: 'reported', message: 'no capacity' });
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary' });
		});

		it('that names the reporting host, or a machine that has ended, moves nothing', async () => {
			const agent = await makeAgent(world);
			const ended = await joinAgent(agent);
			await agent.client.terminated(agent.id, ended.instanceId);
			expect((await agent.client.report(agent.id, agent.instanceId)).body).toMatchObject({ action: 'none' });
			expect((await agent.client.report(agent.id, ended.instanceId)).body).toMatchObject({ action: 'none' });
			expect(await rows.agent(agent.id)).toMatchObject({ generation: 1 });
		});
	});

	describe('T3: the primary is silent', () => {
		it('the oldest live candidate takes over by the sweep, and the old host is on hold', async () => {
			const agent = await makeAgent(world);
			const first = await joinAgent(agent);
			await world.advance(1000);
			const second = await joinAgent(agent);
			await heartbeatsFor(world, TIMEOUT + 20_000, agent.client, [first.handle, second.handle]);
			expect(await rolesOf(world, agent.id)).toEqual({
				[agent.instanceId]: 'zombie',
				[first.instanceId]: 'primary',
				[second.instanceId]: 'candidate',
			});
			expect(await rows.host(agent.id)).toMatchObject({ hold: 1 });
		});

		it('a candidate that is silent too is passed over', async () => {
			const agent = await makeAgent(world);
			await joinAgent(agent);
			const second = await joinAgent(agent);
			await heartbeatsFor(world, TIMEOUT + 20_000, agent.client, [second.handle]);
			expect(await rolesOf(world, agent.id)).toMatchObject({ [second.instanceId]: 'primary' });
		});

		it('nobody takes over while the primary calls, whatever it calls', async () => {
			const agent = await makeAgent(world);
			const standby = await joinAgent(agent);
			for (let n = 0; n < 8; n++) {
				await world.advance(20_000, 4000);
				await agent.client.heartbeat(standby.handle);
				await agent.client.config(agent.id);
			}
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary', [standby.instanceId]: 'candidate' });
			expect(await rows.agent(agent.id)).toMatchObject({ status: 'online' });
		});

		it('the host that was left never ends because of it, until an operator says so', async () => {
			const agent = await makeAgent(world);
			const standby = await joinAgent(agent);
			await silence(agent, standby.handle);
			await heartbeatsFor(world, 600_000, agent.client, [standby.handle]);
			expect((await agent.client.terminations(standby.handle)).body).toMatchObject({ instances: [], held: 1 });
			expect((await agent.client.terminations(agent.id)).body.instances).toEqual([]);
			await agent.client.hold(agent.instanceId, false);
			expect((await agent.client.terminations(standby.handle)).body.instances).toMatchObject([{ instance_id: agent.instanceId }]);
		});

		it('a primary that is only named gets ten minutes', async () => {
			const agent = await makeAgent(world);
			const standby = await joinAgent(agent);
			const named = newMachine();
			await agent.client.report(agent.id, named);
			await heartbeatsFor(world, 580_000, agent.client, [standby.handle]);
			expect(await rolesOf(world, agent.id)).toMatchObject({ [named]: 'primary' });
			expect(await rows.agent(agent.id)).toMatchObject({ status: 'switching' });
			await heartbeatsFor(world, 40_000, agent.client, [standby.handle]);
			expect(await rolesOf(world, agent.id)).toMatchObject({ [named]: 'zombie', [standby.instanceId]: 'primary' });
			expect(await rows.host((await rows.hostOfMachine(agent.client, named)).handle)).toMatchObject({ hold: 1 });
		});

		it('a primary that is only named and has no standby is offline after ten minutes, with a notification about the image', async () => {
			const agent = await makeAgent(world);
			await agent.client.report(agent.id, newMachine());
			await world.advance(590_000, 4000);
			expect(await rows.agent(agent.id)).toMatchObject({ status: 'switching' });
			await world.advance(15_000, 1000);
			expect(await rows.agent(agent.id)).toMatchObject({ status: 'offline' });
			expect(await rows.notifications(agent.id)).toContainEqual(expect.objectContaining({ title: 'New machine never called' }));
		});
	});

	describe('T7: a termination is reported', () => {
		it('the machine is terminated; the current primary never (D-12)', async () => {
			const { agent, next } = await guessed();
			expect(await agent.client.terminated(next.handle, agent.instanceId)).toMatchObject({ status: 200 });
			expect(await rows.host(agent.id)).toMatchObject({ role: 'terminated' });
			expect(await agent.client.terminated(agent.id, next.instanceId)).toMatchObject({ status: 409, body: { code: 'CURRENT_PRIMARY' } });
			expect(await rows.host(next.handle)).toMatchObject({ role: 'primary' });
		});

		it('by a late report of the old host', async () => {
			const { agent, next } = await guessed();
			await agent.client.report(agent.id, next.instanceId, { timing: { old_instance_terminated_at: '2021-03-04T00:10:00Z' } });
			expect(await rows.host(agent.id)).toMatchObject({ role: 'terminated' });
		});

		it('does not end the reporting host while it is the primary', async () => {
			const agent = await makeAgent(world);
			await agent.client.report(agent.id, agent.instanceId, { timing: { old_instance_terminated_at: '2021-03-04T00:10:00Z' } });
			expect(await rows.host(agent.id)).toMatchObject({ role: 'primary' });
		});

		it('of another agent, or another client, is not found (D-12, D-17)', async () => {
			const agent = await makeAgent(world);
			const other = await makeAgent(world, agent.client);
			const stranger = await makeAgent(world);
			expect((await agent.client.terminated(agent.id, other.instanceId)).status).toBe(404);
			expect((await agent.client.terminated(agent.id, stranger.instanceId)).status).toBe(404);
		});
	});

	describe('T8: the reported machine registered elsewhere meanwhile', () => {
		/** A self-named agent that switches by itself, with a machine that nothing was ordered for. */
		const alone = async () => {
			const client = await world.client();
			const [oldId, newId] = [newMachine(), newMachine()];
			const { body: old } = await client.register(oldId);
			const { body: fresh } = await client.register(newId, { az: 'us-east-1b' });
			expect(fresh.public_agent_id).toBe(fresh.agent_id);
			return { client, oldId, newId, old: old.agent_id, fresh: fresh.agent_id };
		};

		it('as the only host of a fresh self-named agent: that agent is folded and the handle goes on working', async () => {
			const { client, oldId, newId, old, fresh } = await alone();
			expect((await client.report(old, newId)).body).toMatchObject({ action: 'switched' });
			expect(await rolesOf(world, old)).toEqual({ [oldId]: 'zombie', [newId]: 'primary' });
			expect((await client.probe(fresh)).body).toMatchObject({ agent_id: old, handle: fresh, role: 'primary', enabled: true });
			expect((await client.agent(old)).body.logicalIds).toEqual([oldId, newId].sort());
			expect((await client.register(newId, { az: 'us-east-1b' })).body).toMatchObject({
				agent_id: fresh,
				public_agent_id: old,
				role: 'primary',
			});
			expect((await client.call('listOwnAgents', {})).body.agents).toHaveLength(1);
		});

		it('whose agent has an order under way: the order goes with it, and its machine is an extra one', async () => {
			const { client, newId, old, fresh } = await alone();
			const command = await orderSwitch(client, newId, fresh, 'c');
			await client.report(old, newId);
			expect(await rows.command(command)).toMatchObject({
				agent_id: old,
				status: 'cancelled',
				outcome: 'superseded',
				open_switch_of: null,
			});
			expect((await client.register(newMachine(), { az: 'us-east-1c' })).body).toMatchObject({ public_agent_id: old, role: 'zombie' });
		});

		it('is not folded on the word of a standby, which moves no role', async () => {
			const { client, oldId, newId, old, fresh } = await alone();
			const { body: standby } = await client.register(newMachine(), { logical_agent_id: oldId });
			expect(standby.role).toBe('candidate');
			expect((await client.report(standby.agent_id, newId)).body).toMatchObject({ action: 'conflict' });
			expect(await rows.hostOfMachine(client, newId)).toMatchObject({ agent_id: fresh, role: 'primary' });
			expect(await rolesOf(world, old)).toMatchObject({ [oldId]: 'primary' });
		});

		it('as a candidate that R6 put under another agent: it is re-pointed', async () => {
			const client = await world.client();
			const made = [];
			for (let n = 0; n < 2; n++) {
				const instanceId = newMachine();
				made.push({ instanceId, id: (await client.register(instanceId)).body.agent_id });
			}
			for (const { id, instanceId } of made) {
				await orderSwitch(client, instanceId, id);
				await world.advance(1000);
			}
			const [first, second] = made;
			const machine = newMachine();
			expect((await client.register(machine, { az: 'us-east-1b' })).body).toMatchObject({ role: 'candidate', public_agent_id: first?.id });
			const { body } = await client.report(String(second?.id), machine);
			expect(body).toMatchObject({ action: 'switched' });
			expect(await rolesOf(world, String(second?.id))).toEqual({ [String(second?.instanceId)]: 'zombie', [machine]: 'primary' });
			expect(await rolesOf(world, String(first?.id))).toEqual({ [String(first?.instanceId)]: 'primary' });
		});

		it('as a candidate that says itself whose it is: nothing moves', async () => {
			const agent = await makeAgent(world);
			const other = await makeAgent(world, agent.client);
			const standby = await joinAgent(other);
			expect((await agent.client.report(agent.id, standby.instanceId)).body).toMatchObject({ action: 'conflict' });
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary' });
			expect(await rolesOf(world, other.id)).toEqual({ [other.instanceId]: 'primary', [standby.instanceId]: 'candidate' });
		});

		it('as the primary of an agent with a history: nothing moves, and an event tells', async () => {
			const agent = await makeAgent(world);
			const other = await makeAgent(world, agent.client);
			expect((await agent.client.report(agent.id, other.instanceId)).body).toMatchObject({ action: 'conflict', success: true });
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary' });
			expect(await rolesOf(world, other.id)).toEqual({ [other.instanceId]: 'primary' });
			expect(await rows.events(agent.id)).toContain('machine_conflict');
		});
	});

	describe('T9: the claimant says that it failed after a registration was taken for its machine', () => {
		it('roles stay, the old host is on hold and an event tells', async () => {
			const { agent, command, next } = await guessed();
			await agent.client.ack(agent.id, command, false);
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'zombie', [next.instanceId]: 'primary' });
			expect(await rows.host(agent.id)).toMatchObject({ hold: 1 });
			expect(await rows.events(agent.id)).toContain('switch_disputed');
			await heartbeatsFor(world, 400_000, agent.client, [agent.id, next.handle]);
			expect((await agent.client.terminations(next.handle)).body).toMatchObject({ instances: [], held: 1 });
		});

		it('the same when it says so in a switch report', async () => {
			const { agent, next } = await guessed();
			await agent.client.call('switchReport', { agent_id: agent.id, success: false, error_message: 'no capacity' });
			expect(await rows.host(agent.id)).toMatchObject({ role: 'zombie', hold: 1, takes_back: 1 });
			expect(await rows.host(next.handle)).toMatchObject({ role: 'primary' });
		});

		it('the old host takes the agent back when the guessed one falls silent', async () => {
			const { agent, command, next } = await guessed();
			await agent.client.ack(agent.id, command, false);
			await heartbeatsFor(world, TIMEOUT + 20_000, agent.client, [agent.id]);
			expect(await rolesOf(world, agent.id)).toEqual({ [agent.instanceId]: 'primary', [next.instanceId]: 'zombie' });
			expect(await rows.host(next.handle)).toMatchObject({ hold: 1 });
			expect((await agent.client.config(agent.id)).body.enabled).toBe(true);
		});

		it('but not from a machine that came later: a candidate goes before', async () => {
			const { agent, command, next } = await guessed();
			await agent.client.ack(agent.id, command, false);
			await orderSwitch(agent.client, next.instanceId, next.handle, 'c');
			const third = await joinAgent(agent, 'c');
			const standby = await joinAgent(agent, 'd');
			await heartbeatsFor(world, TIMEOUT + 20_000, agent.client, [agent.id, standby.handle]);
			expect(await rolesOf(world, agent.id)).toMatchObject({ [standby.instanceId]: 'primary', [third.instanceId]: 'zombie' });
		});

		it('changes nothing after its own report', async () => {
			const { agent, command, next } = await guessed();
			await agent.client.report(agent.id, next.instanceId);
			await agent.client.ack(agent.id, command, false);
			expect(await rows.host(agent.id)).toMatchObject({ role: 'zombie', hold: 0 });
		});
	});
});

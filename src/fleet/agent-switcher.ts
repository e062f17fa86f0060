import { AgentBase } from './agent-base.ts';
import { guessedOnDemand } from './agent-pricing.ts';
import { Ec2Error, type Instance } from './ec2-types.ts';
import { AgentError, comparable, type Dict, get, isDict, isTruthy, items, zoneOf } from './python.ts';
import type { SimThread } from './thread.ts';

/** How the two agents that switch differ in doing it. */
export type SwitchStyle = {
	/** How an instant is written. */
	readonly stamp: (at: number) => string;
	/** Whether the launch is reported on its own, and an unknown spot price of the new pool is null (classic) or 0 (3.2). */
	readonly isClassic: boolean;
	/** How long to wait before ending the own machine, milliseconds; 0 leaves it running. */
	readonly terminateWaitMs: number;
	/** Takes and waits for a snapshot first (3.2); undefined when switched off. */
	readonly snapshot: ((thread: SimThread) => Promise<Dict>) | undefined;
};

const TRAFFIC_SWITCH_MS = 2_000;

/** An agent that polls commands and switches: classic and 3.2. */
export abstract class SwitchingAgent extends AgentBase {
	protected readAgentId(answer: unknown): unknown {
		if (!isDict(answer) || !Object.hasOwn(answer, 'agent_id')) throw new AgentError("KeyError: 'agent_id'");
		return answer.agent_id;
	}

	protected offlineBody(): Dict {
		return { status: 'offline', monitored_instances: [] };
	}

	/** GET #46 and the list in its answer: a bare list, else `commands`, `pending_commands`, `data`, in this order. */
	protected async pendingCommands(thread: SimThread): Promise<readonly unknown[]> {
		const answer = await this.call(thread, 'GET', this.path('pending-commands'));
		if (answer === undefined || !isTruthy(answer)) return [];
		const list = isDict(answer) ? get(answer, 'commands', get(answer, 'pending_commands', get(answer, 'data', []))) : answer;
		return isTruthy(list) ? items(list) : [];
	}

	/**
	 * Launches the new machine, waits, ends its own machine if told to, and reports (clients.md, "Commands"). False when it failed; an
	 * exception on the way is a failure too, whatever was already done.
	 */
	protected async performSwitch(thread: SimThread, command: Dict, style: SwitchStyle): Promise<boolean> {
		try {
			return await this.#switch(thread, command, style);
		} catch (error) {
			if (!(error instanceof AgentError || error instanceof Ec2Error)) throw error;
			this.log(`switch failed: ${error.message}`);
			return false;
		}
	}

	async #switch(thread: SimThread, command: Dict, style: SwitchStyle): Promise<boolean> {
		const { stamp, isClassic } = style;
		const targetMode = get(command, 'target_mode');
		const targetPool = get(command, 'target_pool_id');
		const timing: Record<string, string | null> = {
			switch_initiated_at: stamp(this.stampedNow),
			...(isClassic && { new_instance_launched_at: null }),
			new_instance_ready_at: null,
			traffic_switched_at: null,
			...(!isClassic && { old_instance_terminated_at: null }),
		};
		const old = this.machine;
		const snapshot = style.snapshot ? await style.snapshot(thread) : { used: false };

		const newId = await this.#launchFor(thread, targetMode, targetPool, isClassic);
		if (newId === undefined) return false;
		if (isClassic) timing.new_instance_launched_at = stamp(this.stampedNow);
		if (!(await this.#isUp(thread, newId))) return false;
		timing.new_instance_ready_at = stamp(this.stampedNow);
		const fresh = this.place.ec2.describe(newId);

		await thread.sleep(TRAFFIC_SWITCH_MS);
		timing.traffic_switched_at = stamp(this.stampedNow);
		if (style.terminateWaitMs > 0) {
			await thread.sleep(style.terminateWaitMs);
			if (await this.#endOwnMachine(thread)) timing.old_instance_terminated_at = stamp(this.stampedNow);
		}

		const report = {
			old_instance: this.#described(old, old.mode, old.mode === 'spot' ? `${old.instanceType}.${old.az}` : null),
			new_instance: this.#described(fresh, targetMode, targetPool),
			snapshot,
			prices: this.#prices(old, fresh, targetMode, isClassic),
			timing,
			trigger: comparable(get(command, 'priority', 0)) >= 50 ? 'manual' : 'model',
		};
		await this.call(thread, 'POST', this.path('switch-report'), report);
		return true;
	}

	async #launchFor(thread: SimThread, mode: unknown, pool: unknown, isClassic: boolean): Promise<string | undefined> {
		const isSpot = mode === 'spot' && isTruthy(pool);
		const sameZone = isClassic ? this.machine.az : null;
		const az = isSpot ? zoneOf(pool) : sameZone;
		try {
			return await this.launch(thread, { az, mode: isSpot ? 'spot' : 'ondemand', reason: 'switch' });
		} catch (error) {
			if (!(error instanceof Ec2Error)) throw error;
			this.log(`launch failed: ${error.code}`);
			return undefined;
		}
	}

	async #isUp(thread: SimThread, id: string): Promise<boolean> {
		try {
			await this.waitFor(thread, id, 'running', 10_000, 30);
			return true;
		} catch (error) {
			if (!(error instanceof Ec2Error)) throw error;
			this.place.ec2.terminate(id, this.actor, 'switch failed');
			return false;
		}
	}

	async #endOwnMachine(thread: SimThread): Promise<boolean> {
		const { ec2, instanceId, faults, random } = this.place;
		try {
			ec2.terminate(instanceId, this.actor, 'own machine after switch');
			if (random.chance(faults.diesBeforeReport)) await this.waitFor(thread, instanceId, 'terminated', 15_000, 20);
			return true;
		} catch (error) {
			if (!(error instanceof Ec2Error)) throw error;
			this.log(`cannot terminate: ${error.code}`);
			return false;
		}
	}

	#prices(old: Instance, fresh: Instance, targetMode: unknown, isClassic: boolean): Dict {
		const { prices } = this.place;
		const spot = ({ instanceType, az }: Instance): number | null => prices.priceAt(instanceType, az, this.now()) ?? (isClassic ? null : 0);
		return {
			on_demand: guessedOnDemand(prices, old.instanceType, this.now()),
			...(old.mode === 'spot' && { old_spot: spot(old) }),
			...(targetMode === 'spot' && { new_spot: spot(fresh) }),
		};
	}

	#described({ id, instanceType, az, image }: Instance, mode: unknown, pool: unknown): Dict {
		return { instance_id: id, instance_type: instanceType, region: this.place.region, az, ami_id: image.id, mode, pool_id: pool };
	}
}

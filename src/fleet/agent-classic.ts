import type { AgentPlace } from './agent-base.ts';
import { classicPricing, guessedOnDemand, reportedPools } from './agent-pricing.ts';
import { ReplicaWork } from './agent-replicas.ts';
import { SwitchingAgent } from './agent-switcher.ts';
import { Ec2Error, type Instance } from './ec2-types.ts';
import { comparable, type Dict, get, isDict, isoOffset, isTruthy, items, text } from './python.ts';
import type { SimThread } from './thread.ts';

/** The classic agent's intervals, milliseconds (clients.md section 1; by environment variable on the machine). */
export type ClassicSettings = {
	heartbeatMs: number;
	commandsMs: number;
	replicasMs: number;
	configMs: number;
	pricingMs: number;
	terminationCheckMs: number;
	rebalanceCheckMs: number;
	terminateListMs: number;
	cleanupMs: number;
	/**
	 * Patched agents only (clients.md, "Deletion detection"): after five failed heartbeats in a row ask X20, and uninstall on a 404. In
	 * the shipped file this is dead code.
	 */
	detectsDeletion: boolean;
};

/** The intervals as shipped. */
export const CLASSIC_DEFAULTS: Readonly<ClassicSettings> = {
	heartbeatMs: 30_000,
	commandsMs: 15_000,
	replicasMs: 30_000,
	configMs: 60_000,
	pricingMs: 300_000,
	terminationCheckMs: 5_000,
	rebalanceCheckMs: 30_000,
	terminateListMs: 60_000,
	cleanupMs: 3_600_000,
	detectsDeletion: false,
};

const SNAPSHOT_DAYS = 7;
const AMI_DAYS = 30;
const DAY = 86_400_000;

/** The classic agent 4.0.0 (clients.md section 1): switches, launches replicas, terminates what it is told to, reports notices. */
export class ClassicAgent extends SwitchingAgent {
	readonly kind = 'classic';
	readonly #settings: ClassicSettings;
	readonly #replicas: ReplicaWork;
	#onDemand = 0;
	#failedHeartbeats = 0;
	#cleanedAt = -Infinity;
	#terminationHandled = false;
	#rebalanceReported = false;

	constructor(place: AgentPlace, settings: Partial<ClassicSettings> = {}) {
		super(place);
		this.#settings = { ...CLASSIC_DEFAULTS, ...settings };
		this.#replicas = new ReplicaWork({
			ec2: place.ec2,
			machine: () => this.machine,
			actor: () => this.actor,
			stampedNow: () => this.stampedNow,
			path: (rest) => this.path(rest),
			call: (thread, method, path, body) => this.call(thread, method, path, body),
			launch: (thread, az, reason) => this.launch(thread, { az, mode: 'spot', reason }),
			waitFor: (thread, id, state) => this.waitFor(thread, id, state, 15_000, state === 'running' ? 40 : 20),
			log: (message) => this.log(message),
		});
	}

	protected registration({ id, instanceType, az, mode, image, hostname, privateIp, publicIp }: Instance): Dict {
		return {
			client_token: this.place.token,
			hostname,
			instance_id: id,
			instance_type: instanceType,
			region: this.place.region,
			az,
			ami_id: image.id,
			agent_version: '4.0.0',
			logical_agent_id: this.logicalAgentId,
			mode,
			private_ip: privateIp,
			public_ip: publicIp,
		};
	}

	protected startWorkers(): void {
		const settings = this.#settings;
		this.#onDemand = guessedOnDemand(this.place.prices, this.machine.instanceType, this.now());
		this.repeat('heartbeat', settings.heartbeatMs, (thread) => this.#heartbeat(thread));
		this.repeat('commands', settings.commandsMs, (thread) => this.#pollCommands(thread));
		this.repeat('replicas', settings.replicasMs, (thread) => this.#replicas.launchPending(thread));
		this.repeat('terminated replicas', settings.replicasMs, (thread) => this.#replicas.endTerminated(thread));
		this.repeat('config', settings.configMs, async (thread) => this.readConfig(await this.call(thread, 'GET', this.path('config'))));
		this.repeat('pricing', settings.pricingMs, (thread) => this.#reportPrices(thread));
		this.repeat('termination check', settings.terminationCheckMs, (thread) => this.#checkTermination(thread));
		this.repeat('rebalance check', settings.rebalanceCheckMs, (thread) => this.#checkRebalance(thread));
		this.repeat('cleanup', settings.terminateListMs, (thread) => this.#cleanUp(thread), 60_000);
	}

	async #heartbeat(thread: SimThread): Promise<void> {
		const { id, instanceType, az, mode } = this.machine;
		const { metadataFails } = this.place.faults;
		const answer = await this.call(thread, 'POST', this.path('heartbeat'), {
			status: this.status,
			monitored_instances: [id],
			instance_id: id,
			instance_type: metadataFails ? null : instanceType,
			mode,
			az: metadataFails ? null : az,
		});
		this.#failedHeartbeats = answer === undefined ? this.#failedHeartbeats + 1 : 0;
		if (!this.#settings.detectsDeletion || this.#failedHeartbeats < 5) return;
		if ((await this.probe(thread, `/api/agents/${text(this.agentId)}`)) === 404) this.place.uninstall();
	}

	async #pollCommands(thread: SimThread): Promise<void> {
		if (!isTruthy(this.enabled)) return;
		for (const command of await this.pendingCommands(thread)) {
			if (!isDict(command)) continue;
			const id = get(command, 'id');
			if (!isTruthy(id)) continue;
			if (get(command, 'command_type', 'switch') === 'create_replica') {
				const replica = await this.#replicas.createOrdered(thread, get(command, 'target_pool_id'));
				const message = replica === undefined ? 'Replica creation failed' : `Replica created: ${replica}`;
				await this.#markExecuted(thread, id, replica !== undefined, message);
				return;
			}
			if (!isTruthy(get(command, 'target_mode'))) continue;
			const wait = comparable(get(command, 'terminate_wait_seconds', 0));
			const style = { stamp: isoOffset, isClassic: true, terminateWaitMs: wait * 1_000, snapshot: undefined };
			const isDone = await this.performSwitch(thread, command, style);
			await this.#markExecuted(thread, id, isDone, isDone ? 'Switch completed' : 'Switch failed');
			if (isDone && wait > 0) this.stop();
			return;
		}
	}

	async #markExecuted(thread: SimThread, id: unknown, success: boolean, message: string): Promise<void> {
		await this.call(thread, 'POST', this.path(`commands/${text(id)}/executed`), { success, message });
	}

	async #reportPrices(thread: SimThread): Promise<void> {
		const { id, instanceType, az, mode } = this.machine;
		const pools = reportedPools(this.place.prices, instanceType, this.now());
		const isSpot = mode === 'spot';
		await this.call(thread, 'POST', this.path('pricing-report'), {
			instance: {
				instance_id: id,
				instance_type: instanceType,
				region: this.place.region,
				az,
				mode,
				pool_id: isSpot && pools.length > 0 ? `${instanceType}.${az}` : null,
			},
			pricing: classicPricing(pools, az, isSpot, this.#onDemand, isoOffset(this.stampedNow)),
		});
	}

	async #checkTermination(thread: SimThread): Promise<void> {
		const { id, mode } = this.machine;
		const { action } = this.place.ec2.notices(id);
		if (mode !== 'spot' || !action || this.#terminationHandled) return;
		this.#terminationHandled = true;
		await this.call(thread, 'POST', this.path('create-emergency-replica'), {
			signal_type: 'termination-notice',
			instance_id: id,
			termination_time: action.time,
		});
		const failover = await this.call(thread, 'POST', this.path('termination-imminent'), {
			instance_id: id,
			termination_time: action.time,
			detected_at: isoOffset(this.stampedNow),
		});
		if (failover === undefined || !isTruthy(failover)) return this.log('no answer to the termination notice');
		if (isTruthy(get(failover, 'success'))) this.stop();
		else this.log(`failover failed: ${text(get(failover, 'error'))}`);
	}

	async #checkRebalance(thread: SimThread): Promise<void> {
		const { id, mode } = this.machine;
		if (mode !== 'spot') return;
		if (!this.place.ec2.notices(id).rebalance) {
			this.#rebalanceReported = false;
			return;
		}
		if (this.#rebalanceReported) return;
		this.#rebalanceReported = true;
		const signal = { signal_type: 'rebalance-recommendation', instance_id: id };
		await this.call(thread, 'POST', this.path('create-emergency-replica'), signal);
		await this.call(thread, 'POST', this.path('rebalance-recommendation'), { instance_id: id, detected_at: isoOffset(this.stampedNow) });
	}

	async #cleanUp(thread: SimThread): Promise<void> {
		if (this.now() - this.#cleanedAt >= this.#settings.cleanupMs) {
			const at = this.stampedNow;
			const cutoff = (days: number): string => isoOffset(at - days * DAY);
			await this.call(thread, 'POST', this.path('cleanup-report'), {
				timestamp: isoOffset(at),
				snapshots: { type: 'snapshots', deleted: [], failed: [], cutoff_date: cutoff(SNAPSHOT_DAYS) },
				amis: { type: 'amis', deleted_amis: [], deleted_snapshots: [], failed: [], cutoff_date: cutoff(AMI_DAYS) },
			});
			this.#cleanedAt = this.now();
		}
		await this.#terminateListed(thread);
	}

	async #terminateListed(thread: SimThread): Promise<void> {
		const answer = await this.call(thread, 'GET', this.path('instances-to-terminate'));
		if (answer === undefined || !isTruthy(answer)) return;
		if (!isTruthy(get(answer, 'auto_terminate_enabled', false))) return;
		for (const item of items(get(answer, 'instances', []))) {
			const id = get(item, 'instance_id');
			if (!isTruthy(id)) continue;
			const problem = this.#terminateListedInstance(text(id), text(get(item, 'reason', 'unknown')));
			await this.call(thread, 'POST', this.path('termination-report'), {
				instance_id: id,
				success: problem === null,
				error: problem,
				terminated_at: problem === null ? isoOffset(this.stampedNow) : null,
			});
		}
	}

	#terminateListedInstance(id: string, reason: string): string | null {
		try {
			this.place.ec2.terminate(id, this.actor, `terminate list: ${reason}`);
			return null;
		} catch (error) {
			if (!(error instanceof Ec2Error)) throw error;
			if (error.code === 'InvalidInstanceID.NotFound') return null;
			if (error.code === 'UnauthorizedOperation') return `IAM permissions insufficient to terminate instance ${id}`;
			return `${error.code}: ${error.message}`;
		}
	}
}

import type { AgentPlace } from './agent-base.ts';
import { guessedOnDemand, reportedPools } from './agent-pricing.ts';
import { SwitchingAgent } from './agent-switcher.ts';
import type { Instance } from './ec2-types.ts';
import { type Dict, get, isDict, isoZulu, isTruthy } from './python.ts';
import type { SimThread } from './thread.ts';

/** Agent 3.2's settings (clients.md section 2; by environment variable on the machine). Times are milliseconds. */
export type Agent32Settings = {
	heartbeatMs: number;
	commandsMs: number;
	configMs: number;
	pricingMs: number;
	/** AUTO_TERMINATE_OLD_INSTANCE and TERMINATE_WAIT_TIME: obeyed instead of the command's terminate_wait_seconds. */
	autoTerminateOldInstance: boolean;
	terminateWaitMs: number;
	/** CREATE_SNAPSHOT_ON_SWITCH, and how long a snapshot takes to complete. */
	createSnapshotOnSwitch: boolean;
	snapshotMs: number;
};

/** The settings as shipped. */
export const AGENT_32_DEFAULTS: Readonly<Agent32Settings> = {
	heartbeatMs: 30_000,
	commandsMs: 15_000,
	configMs: 60_000,
	pricingMs: 300_000,
	autoTerminateOldInstance: true,
	terminateWaitMs: 300_000,
	createSnapshotOnSwitch: true,
	snapshotMs: 30_000,
};

/** Agent 3.2.0 (clients.md section 2): switches by its own settings, knows no replicas, lists or notices. */
export class Agent32 extends SwitchingAgent {
	readonly kind = 'v32';
	readonly #settings: Agent32Settings;
	#onDemand = 0;

	constructor(place: AgentPlace, settings: Partial<Agent32Settings> = {}) {
		super(place);
		this.#settings = { ...AGENT_32_DEFAULTS, ...settings };
	}

	protected registration({ id, instanceType, az, image, hostname }: Instance): Dict {
		return {
			client_token: this.place.token,
			hostname,
			instance_id: id,
			instance_type: instanceType,
			region: this.place.region,
			az,
			ami_id: image.id,
			agent_version: '3.2.0',
			logical_agent_id: this.logicalAgentId,
		};
	}

	protected startWorkers(): void {
		const settings = this.#settings;
		this.#onDemand = guessedOnDemand(this.place.prices, this.machine.instanceType, this.now());
		this.repeat('heartbeat', settings.heartbeatMs, async (thread) => {
			await this.call(thread, 'POST', this.path('heartbeat'), { status: this.status, monitored_instances: [this.place.instanceId] });
		});
		this.repeat('commands', settings.commandsMs, (thread) => this.#pollCommands(thread));
		this.repeat('config', settings.configMs, async (thread) => this.readConfig(await this.call(thread, 'GET', this.path('config'))));
		this.repeat('pricing', settings.pricingMs, (thread) => this.#reportPrices(thread));
	}

	async #pollCommands(thread: SimThread): Promise<void> {
		if (!isTruthy(this.enabled)) return;
		for (const command of await this.pendingCommands(thread)) {
			if (!isDict(command)) continue;
			const id = get(command, 'id');
			if (!isTruthy(id)) continue;
			if (!isTruthy(get(command, 'target_mode'))) {
				await this.#markExecuted(thread, id);
				continue;
			}
			const { autoTerminateOldInstance, terminateWaitMs, createSnapshotOnSwitch } = this.#settings;
			const isDone = await this.performSwitch(thread, command, {
				stamp: isoZulu,
				isClassic: false,
				terminateWaitMs: autoTerminateOldInstance ? terminateWaitMs : 0,
				snapshot: createSnapshotOnSwitch ? (sleeper) => this.#snapshot(sleeper) : undefined,
			});
			await this.#markExecuted(thread, id);
			if (isDone && autoTerminateOldInstance) this.stop();
			return;
		}
	}

	async #markExecuted(thread: SimThread, id: unknown): Promise<void> {
		await this.call(thread, 'POST', this.path('mark-command-executed'), { command_id: id });
	}

	async #snapshot(thread: SimThread): Promise<Dict> {
		const { random } = this.place;
		await thread.sleep(Math.ceil(this.#settings.snapshotMs / 10_000) * 10_000);
		return { used: true, snapshot_id: `snap-${random.hex(17)}`, volume_id: `vol-${random.hex(17)}` };
	}

	async #reportPrices(thread: SimThread): Promise<void> {
		const { id, instanceType, az, mode } = this.machine;
		await this.call(thread, 'POST', this.path('pricing-report'), {
			instance: {
				instance_id: id,
				instance_type: instanceType,
				region: this.place.region,
				az,
				current_mode: mode,
				current_pool_id: mode === 'spot' ? `${instanceType}.${az}` : null,
			},
			on_demand_price: { price: this.#onDemand },
			spot_pools: reportedPools(this.place.prices, instanceType, this.now()),
		});
	}
}

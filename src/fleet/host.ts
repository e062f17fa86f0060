import { Agent32, type Agent32Settings } from './agent-32.ts';
import type { AgentBase, AgentKind, AgentPlace } from './agent-base.ts';
import { ClassicAgent, type ClassicSettings } from './agent-classic.ts';
import { AgentV4, type AgentV4Settings } from './agent-v4.ts';
import { type Scheduled, SimThread } from './thread.ts';

/** Environment variables on the machines that differ from the shipped defaults, by agent. */
export type AgentSettings = { classic?: Partial<ClassicSettings>; v32?: Partial<Agent32Settings>; v4?: Partial<AgentV4Settings> };

const RESTART_MS = 10_000;

/** What a machine gives to the agent on it; the rest is the host's. */
export type Machine = Omit<AgentPlace, 'onExit' | 'uninstall'>;

/** One EC2 machine with an agent in its image, and systemd on it: `Restart=always` after 10 s. */
export class Host {
	readonly kind: AgentKind;
	readonly #place: Machine;
	readonly #settings: AgentSettings;
	#agent: AgentBase | undefined;
	#starts = 0;
	#isUp = true;
	#isInstalled = true;
	#timers: Scheduled[] = [];

	constructor(kind: AgentKind, place: Machine, settings: AgentSettings) {
		this.kind = kind;
		this.#place = place;
		this.#settings = settings;
	}

	get instanceId(): string {
		return this.#place.instanceId;
	}

	get logicalAgentId(): string | null {
		return this.#place.logicalAgentId;
	}

	/** The faults of this machine; to be changed in place. */
	get faults(): AgentPlace['faults'] {
		return this.#place.faults;
	}

	/** The process that runs, if any. */
	get agent(): AgentBase | undefined {
		return this.#agent;
	}

	/** The handle the running process was given. */
	get agentId(): string | null {
		return typeof this.#agent?.agentId === 'string' ? this.#agent.agentId : null;
	}

	/** How often the process was started. */
	get starts(): number {
		return this.#starts;
	}

	/** False once the machine is gone. */
	get isUp(): boolean {
		return this.#isUp;
	}

	/** Starts the agent `delayMs` simulated milliseconds from now. */
	boot(delayMs: number): void {
		this.#after(delayMs, () => this.#startAgent());
	}

	/** The process dies at once, without a word; systemd starts it again. */
	crash(): void {
		if (!this.#agent) return;
		this.#agent.kill();
		this.#exited();
	}

	/** `systemctl restart`: the process ends in order and is started again. */
	restart(): void {
		this.#agent?.stop();
	}

	/** uninstall.sh (clients.md section 7): tells the server, then ends the agent for good; the machine stays. */
	uninstall(): void {
		const { clock, instanceId, link, token } = this.#place;
		if (!this.#isInstalled) return;
		this.#isInstalled = false;
		new SimThread(clock, `${instanceId}/uninstall.sh`, async () => {
			const headers = { accept: '*/*', authorization: `Bearer ${token}`, 'content-type': 'application/json', 'user-agent': 'curl/8.5.0' };
			const body = { instance_id: instanceId, reason: 'manual_uninstall' };
			await link({ method: 'POST', path: '/api/agents/uninstall', headers, body });
			this.#agent?.stop();
		});
	}

	/** The machine shuts down in order: the agent is asked to end and not started again. */
	shutDown(): void {
		this.#isUp = false;
		this.#agent?.stop();
	}

	/** The machine is gone. */
	die(): void {
		this.#isUp = false;
		this.#cancelTimers();
		this.#agent?.kill();
		this.#agent = undefined;
	}

	/** Ends the agent for good, with its last heartbeat, outside simulated time. */
	async finish(): Promise<void> {
		const agent = this.#agent;
		this.#agent = undefined;
		this.die();
		await agent?.finish();
	}

	#startAgent(): void {
		if (!this.#isUp || !this.#isInstalled || this.#agent) return;
		this.#cancelTimers();
		this.#starts++;
		this.#agent = this.#create();
		this.#agent.start();
		const { crashEveryMs } = this.faults;
		if (crashEveryMs !== null) this.#after(-Math.log(1 - this.#place.random.next()) * crashEveryMs, () => this.crash());
	}

	#create(): AgentBase {
		const place = { ...this.#place, onExit: () => this.#exited(), uninstall: () => this.uninstall() };
		if (this.kind === 'classic') return new ClassicAgent(place, this.#settings.classic);
		if (this.kind === 'v32') return new Agent32(place, this.#settings.v32);
		return new AgentV4(place, this.#settings.v4);
	}

	#exited(): void {
		this.#agent = undefined;
		this.#cancelTimers();
		if (this.#isUp && this.#isInstalled) this.boot(RESTART_MS);
	}

	#after(delayMs: number, run: () => void): void {
		this.#timers.push(this.#place.clock.schedule(delayMs, run, `${this.instanceId}/systemd`));
	}

	#cancelTimers(): void {
		for (const timer of this.#timers) this.#place.clock.cancel(timer);
		this.#timers = [];
	}
}

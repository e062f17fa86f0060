/** How a machine is paid for. */
export type Mode = 'spot' | 'ondemand';

/** States of an instance, by AWS's names. */
export type InstanceState = 'pending' | 'running' | 'shutting-down' | 'terminated';

/** What a machine boots: whether an agent is in it, which one, and the LOGICAL_AGENT_ID baked in (null: the agent uses its instance id). */
export type Image = { readonly id: string; readonly agent: string | null; readonly logicalAgentId: string | null };

/** Who asked for something: an agent by its machine and handle, AWS, or the person at the controls. */
export type Actor = { readonly kind: 'agent' | 'aws' | 'operator'; readonly instanceId: string | null; readonly agentId: string | null };

/** AWS itself. */
export const AWS: Actor = { kind: 'aws', instanceId: null, agentId: null };

/** A test, a demo, the person at the controls. */
export const OPERATOR: Actor = { kind: 'operator', instanceId: null, agentId: null };

/** A notice in an instance's metadata: the two minute warning, or a rebalance recommendation. */
export type NoticeKind = 'termination' | 'rebalance';

/** One machine. Times are UTC milliseconds. */
export type Instance = {
	readonly id: string;
	readonly instanceType: string;
	readonly az: string;
	readonly mode: Mode;
	readonly image: Image;
	readonly hostname: string;
	readonly privateIp: string;
	readonly publicIp: string | null;
	readonly launchedAt: number;
	readonly launchedBy: Actor;
	state: InstanceState;
	runningAt: number | null;
	/** When termination was first asked for. */
	shutdownAt: number | null;
	terminatedAt: number | null;
};

/** What RunInstances is asked for. A null `az` leaves the zone to EC2. */
export type LaunchOrder = {
	readonly instanceType: string;
	readonly az: string | null;
	readonly mode: Mode;
	readonly image: Image;
	readonly by: Actor;
	readonly reason: string;
	/** The error code EC2 answers with instead of launching. */
	readonly refuse?: string;
};

/** A line of the ledger: every launch, refusal and first request to terminate. `at` is UTC milliseconds. */
export type LedgerEntry = {
	readonly kind: 'launch' | 'refused' | 'terminate';
	readonly at: number;
	/** Null when the launch was refused. */
	readonly instanceId: string | null;
	readonly instanceType: string;
	readonly az: string | null;
	readonly mode: Mode;
	readonly by: Actor;
	readonly reason: string;
};

/** An error of the EC2 API. `code` is AWS's (`InsufficientInstanceCapacity`, `InvalidInstanceID.NotFound`, …). */
export class Ec2Error extends Error {
	readonly code: string;

	constructor(code: string, message: string) {
		super(message);
		this.name = 'Ec2Error';
		this.code = code;
	}
}

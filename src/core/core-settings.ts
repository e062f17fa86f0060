import type { Config } from '../config/schema.ts';
import type { CoreSettings } from './core-deps.ts';

/** The part of the configuration that the core reads. */
export const coreSettings = ({ agents, commands, emergency, failover, retention, security }: Config): CoreSettings => ({
	heartbeatTimeoutMs: agents.heartbeatTimeout,
	terminateWaitSeconds: Math.max(1, Math.round(agents.terminateWait / 1000)),
	leaseMs: commands.lease,
	expireMs: {
		emergency: commands.expireEmergency,
		manual: commands.expireManual,
		model: commands.expireModel,
		scheduled: commands.expireScheduled,
	},
	failover: {
		launchMs: failover.launchWithin,
		readyMs: failover.readyWithin,
		silentAfterMs: failover.silentAfter,
		retireRepeatedMs: failover.retireRepeated,
		retireSingleMs: failover.retireSingle,
		override: emergency.override,
	},
	retention,
	adminToken: security.adminToken ?? null,
	tokenRevealKey: security.tokenRevealKey === undefined ? null : Buffer.from(security.tokenRevealKey, 'base64url'),
});

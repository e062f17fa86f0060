import type { CoreSettings } from '../../src/core/index.ts';

/** The settings of the core as the configuration gives them without a word of anybody's; `the settings of the core` in test/daemon says the same. */
export const CORE_SETTINGS: CoreSettings = {
	heartbeatTimeoutMs: 120_000,
	terminateWaitSeconds: 300,
	leaseMs: 900_000,
	expireMs: { emergency: 300_000, manual: 1_800_000, model: 900_000, scheduled: 86_400_000 },
	failover: {
		launchMs: 45_000,
		readyMs: 60_000,
		silentAfterMs: 180_000,
		retireRepeatedMs: 1_800_000,
		retireSingleMs: 7_200_000,
		override: true,
	},
	retention: {
		rawPrices: 30,
		cleanPrices: 400,
		commands: 7,
		replicas: 400,
		instances: 400,
		events: 90,
		audit: 180,
		readNotifications: 30,
		cleanupLogs: 30,
		ledger: 400,
	},
	adminToken: null,
	tokenRevealKey: null,
};

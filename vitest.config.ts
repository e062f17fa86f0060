import { defineConfig } from 'vitest/config';

export default defineConfig({
	test: {
		include: ['test/**/*.test.{ts,tsx}'],
		globalSetup: ['test/helpers/global-setup.ts'],
		pool: 'forks',
		// One more than cores: daemons under test wait for leases and time limits.
		maxWorkers: 3,
		testTimeout: 30_000,
		hookTimeout: 60_000,
	},
});

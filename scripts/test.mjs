// `npm test`: installs what is missing, builds what changed, and runs every test. Arguments after `--` go to vitest.
import { join } from 'node:path';
import { prepare } from './build.mjs';
import { root, run } from './install.mjs';

await prepare();
process.exitCode = await run(process.execPath, [join(root, 'node_modules/vitest/vitest.mjs'), 'run', ...process.argv.slice(2)]);

// `npm run soak`: installs what is missing, builds what changed, and runs the long runs. Arguments after `--` go to them.
import { join } from 'node:path';
import { prepare } from './build.mjs';
import { root, run } from './install.mjs';

await prepare();
process.exitCode = await run(process.execPath, ['--import', 'tsx', join(root, 'test/soak/main.ts'), ...process.argv.slice(2)]);

// `npm start`: installs what is missing, builds what changed, and runs the daemon in front. Arguments after `--` go to `spotctl serve`.
import { join } from 'node:path';
import { prepare } from './build.mjs';
import { root, run } from './install.mjs';

await prepare();
process.exitCode = await run(process.execPath, [join(root, 'bin/spotctl'), 'serve', ...process.argv.slice(2)], {
	cwd: process.cwd(),
	group: false,
});

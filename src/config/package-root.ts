import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The directory of this program's package, wherever in it the code that runs was put by the build. */
export function packageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'oclif.manifest.json')) && dirname(directory) !== directory) {
    directory = dirname(directory);
  }
  return directory;
}

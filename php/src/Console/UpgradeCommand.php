<?php

declare(strict_types=1);

namespace Sse\Console;

/** `sse upgrade`: a new hub takes over, with this PHP's extension and settings. */
final class UpgradeCommand implements Command
{
    public function definition(): Definition
    {
        return new Definition(
            'upgrade',
            'have a new hub take over, with this PHP\'s php-sse and its settings; no stream is closed',
            help: 'The settings are those of the command line\'s php.ini, which may differ from the web server\'s: see `sse config`.',
        );
    }

    public function run(Input $input, Output $output): int
    {
        RunningHub::require();
        $done = \sse_hub_upgrade();
        if ($output->json) {
            $output->json($done);
        } else {
            $pause = $done['pause_ms'] === null ? '' : sprintf(', nothing was delivered for %.1f ms', $done['pause_ms']);
            $output->line("process {$done['pid']} is the hub now, with {$done['streams']} streams$pause");
        }

        return 0;
    }
}

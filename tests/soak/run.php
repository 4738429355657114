<?php

declare(strict_types=1);

// usage: SEED=… SCENARIO=… SECONDS_EACH=… php tests/soak/run.php
// Runs the scenarios named (joined by comma; all), each for so many seconds of chaos.

use PhpSse\Tests\Soak\Features;
use PhpSse\Tests\Soak\Scenario;
use PhpSse\Tests\Soak\Soak;

require dirname(__DIR__) . '/servers/bootstrap.php';

ini_set('memory_limit', '-1');
$seed = (int) (getenv('SEED') ?: random_int(1, 999_999_999));
$seconds = (int) (getenv('SECONDS_EACH') ?: 300);
$all = Scenario::all();
$names = getenv('SCENARIO') ? explode(',', getenv('SCENARIO')) : array_keys($all);
echo "SEED=$seed\n";

$running = null;
$end = static function () use (&$running): void {
    $running?->stop();
};
register_shutdown_function($end);
pcntl_async_signals(true);
foreach ([SIGINT, SIGTERM, SIGHUP] as $signal) {
    pcntl_signal($signal, static fn (int $signal): never => exit(128 + $signal));
}

$features = Features::ask();
$failed = [];
$skipped = 0;
foreach ($names as $name) {
    if (!isset($all[$name])) {
        fwrite(STDERR, "SCENARIO: there is no '$name'; there are " . implode(', ', array_keys($all)) . "\n");
        exit(2);
    }
    if (!$all[$name]->isFor($features)) {
        echo "SKIPPED: $name: extension: the one under test can't do it\n";
        $skipped++;
        continue;
    }
    $running = new Soak($all[$name], $seed, $seconds, $features);
    if (!$running->run()) {
        $failed[] = $name;
    }
}
$passed = count($names) - count($failed) - $skipped;
$which = $failed === [] ? '' : ': ' . implode(' ', $failed);
printf("soak: %d passed, %d failed, %d skipped%s\n", $passed, count($failed), $skipped, $which);
exit($failed === [] ? 0 : 1);

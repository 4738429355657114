<?php

declare(strict_types=1);

// Broadcasts so many events on the channel `news`, as a queue's worker does. Prints the milliseconds of the processor of one.

use App\Events\Said;
use Illuminate\Contracts\Console\Kernel;

(require __DIR__ . '/boot.php')->make(Kernel::class)->bootstrap();
$used = static function (): float {
    $usage = getrusage();

    return ($usage['ru_utime.tv_sec'] + $usage['ru_stime.tv_sec']) * 1e3 + ($usage['ru_utime.tv_usec'] + $usage['ru_stime.tv_usec']) / 1e3;
};
event(new Said(['else'], 'nobody listens'));
$before = $used();
for ($at = 0; $at < (int) $argv[1]; $at++) {
    event(new Said(['news'], str_repeat('x', 100) . '~'));
    // At a pace at which each is delivered before the next one comes: what collects can't show its best.
    usleep(50_000);
}
echo ($used() - $before) / (int) $argv[1];

<?php

/** @return array<string, int|float|string> */
function figures(): array
{
    $memory = preg_match('/^MemAvailable: +(\d+)/m', (string) file_get_contents('/proc/meminfo'), $match) ? $match[1] : 0;

    return [
        'time' => date('H:i:s'),
        'load' => round(sys_getloadavg()[0], 2),
        'memory free, MiB' => intdiv((int) $memory, 1024),
        'streams open' => sse_stats()['streams']['open'],
    ];
}

// Once a second, once for all who watch (`share`): the figures are the same for everybody.
sse_stream('dashboard', fn (array $events): array => figures(), ['event' => 'figures', 'poll' => 1, 'share' => 'dashboard']);

<?php

// Sleeps often enough to be compiled by opcache's JIT; says whether every sleep lasted its time, and whether there is a JIT.
function nap(int $microseconds): bool
{
    $before = hrtime(true);
    usleep($microseconds);

    return hrtime(true) - $before >= $microseconds * 1000;
}
$slept = 0;
for ($i = 0; $i < 100; $i++) {
    $slept += nap(1000) ? 1 : 0;
}
$jit = function_exists('opcache_get_status') ? opcache_get_status(false)['jit']['on'] ?? false : false;
// Not ini_get(), which opcache computes once for all.
$adopt = ini_get_all('sse', false)['sse.adopt'];
echo json_encode(['jit' => $jit, 'slept' => $slept, 'adopt' => (bool) $adopt]);

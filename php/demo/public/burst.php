<?php

declare(strict_types=1);

use Demo\Clock;
use Demo\Request;

require __DIR__ . '/../src/start.php';

Request::post();
// Something to see on the charts: nobody watches this topic but the hub's counters.
for ($number = 1; $number <= 200; $number++) {
    sse_publish('demo.burst', ['number' => $number]);
}
Request::answer(['published' => $number - 1, 'ms' => round(Clock::now() - Clock::began(), 1)]);

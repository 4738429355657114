<?php

declare(strict_types=1);

use Demo\Figures;

require __DIR__ . '/../src/start.php';

// Nobody tells that a figure has changed, so it is looked at every second: once for all who watch.
sse_stream('demo.figures', Figures::now(...), ['event' => 'figures', 'poll' => 1, 'share' => 'figures', 'retry' => 1000]);

<?php

declare(strict_types=1);

use Demo\Stock;

require __DIR__ . '/../src/start.php';

// One query for all windows together, and only when somebody changed something.
sse_stream('records.stock.*', fn (): array => (new Stock())->all(), ['event' => 'records', 'share' => 'stock', 'retry' => 1000]);

<?php

declare(strict_types=1);

// Prints the hub's counters as JSON.
echo json_encode(sse_stats(), JSON_THROW_ON_ERROR), "\n";

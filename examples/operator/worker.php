<?php

declare(strict_types=1);

// Publishes, so that there is something to look at.
echo "The worker publishes.\n";
for (;;) {
    foreach (['PHP', 'SSE', 'TCP'] as $symbol) {
        sse_publish("ticker.$symbol", ['price' => random_int(90, 110)]);
    }
    if (random_int(1, 5) === 1) {
        sse_publish('news', 'Something has happened.');
    }
    usleep(500_000);
}

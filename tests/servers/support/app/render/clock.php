<?php

declare(strict_types=1);

// The cheapest render there is: what it costs is what a render costs.
sse_stream($_GET['topic'] ?? 'clock', static fn (): int => hrtime(true));

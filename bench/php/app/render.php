<?php

declare(strict_types=1);

// The cheapest callback there is, whose result is another each time: what it costs is what a render costs.
sse_stream($_GET['topic'] ?? 'bench', static fn (): int => hrtime(true));

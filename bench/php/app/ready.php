<?php

declare(strict_types=1);

// Answers with the hub's process, which it starts if need be.
echo sse_stats()['pid'];

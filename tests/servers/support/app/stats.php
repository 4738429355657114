<?php

declare(strict_types=1);

header('Content-Type: application/json');
echo json_encode(sse_stats(), JSON_THROW_ON_ERROR);

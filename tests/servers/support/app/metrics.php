<?php

declare(strict_types=1);

header('Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8');
echo sse_metrics();

<?php

declare(strict_types=1);

sse_stream('region', static fn (): string => getenv('REGION') . ($_SERVER['REGION'] === getenv('REGION') ? '' : ' and another'));

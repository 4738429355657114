<?php

declare(strict_types=1);

// An ordinary page.
header('Content-Type: text/plain');
echo 'hello from ', getmypid();

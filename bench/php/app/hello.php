<?php

declare(strict_types=1);

// An ordinary page, the cheapest there is.
header('Content-Type: text/plain');
echo 'hello';

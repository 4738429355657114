<?php

declare(strict_types=1);

echo sse_publish('messages', (string) ($_POST['text'] ?? ''));

export { imageSetOf } from './image-set.js';
export { type KernelImages, openKernelImages } from './kernel-images.js';
